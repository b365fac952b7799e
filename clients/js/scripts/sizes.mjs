/**
 * What a page loads for a live feed: this package beside others, bundled and minified by esbuild, gzip. Installs the
 * others' npm packages, in the versions below, into a temporary folder: `npm run sizes`, after `npm run build`.
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const OTHERS = [
  { name: "centrifuge", version: "5.8.0", code: 'import { Centrifuge } from "centrifuge"; console.log(Centrifuge);' },
  { name: "socket.io-client", version: "4.8.4", code: 'import { io } from "socket.io-client"; console.log(io);' },
  { name: "partysocket", version: "1.3.0", code: 'import PartySocket from "partysocket"; console.log(PartySocket);' },
];
const dist = fileURLToPath(new URL("../dist", import.meta.url));
const LAZY = ["./bin.js", "./lz4.js", "./lz42.js", "./sse.js", "./player.js"]; // fetched when they are used

async function size(folder, code, external = []) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: folder },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    write: false,
    external,
    logLevel: "error",
  });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length;
}

const folder = mkdtempSync(join(tmpdir(), "sizes-"));
try {
  const rows = [
    ["@craftnet/client", await size(dist, 'import { Craftnet } from "./index.js"; console.log(Craftnet);', LAZY)],
  ];
  for (const [what, code] of [
    [
      "… and its reader of binary messages",
      'import { Craftnet } from "./index.js"; import { decode } from "./bin.js"; console.log(Craftnet, decode);',
    ],
    [
      "… and everything that it may fetch",
      'import { Craftnet } from "./index.js"; import * as bin from "./bin.js"; import * as lz4 from "./lz4.js"; import * as sse from "./sse.js"; import * as player from "./player.js"; console.log(Craftnet, bin, lz4, sse, player);',
    ],
  ]) {
    const external = LAZY.filter((chunk) => !code.includes(chunk.replace("lz42", "lz4")));
    rows.push([what, await size(dist, code, external)]);
  }
  writeFileSync(join(folder, "package.json"), "{}");
  const packages = OTHERS.map(({ name, version }) => `${name}@${version}`);
  execFileSync("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", ...packages], {
    cwd: folder,
  });
  for (const { name, version, code } of OTHERS) rows.push([`${name} ${version}`, await size(folder, code)]);
  for (const [what, bytes] of rows) console.log(`${(bytes / 1000).toFixed(1).padStart(5)} kB  ${what}`);
} finally {
  rmSync(folder, { recursive: true });
}
