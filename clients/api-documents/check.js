// Checks an AsyncAPI document with the parser of the specification's authors: node check.js asyncapi.json
// Prints every problem; exits with 1 when one of them is an error or a warning.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const WARNING = 1; // Severities: 0 error, 1 warning, 2 information, 3 hint.

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
for (const each of diagnostics) {
  console.log(each.severity, each.code, each.path.join("."), each.message);
}
process.exit(document && !diagnostics.some((each) => each.severity <= WARNING) ? 0 : 1);
