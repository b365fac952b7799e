/** What `npm pack` would publish: which files, and that each export works in both module systems. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

const root = fileURLToPath(new URL("..", import.meta.url));
const require = createRequire(import.meta.url);
const description = require("../package.json");

const ENTRIES = {
  ".": "Craftnet",
  "./lz4": "unpackBlock",
  "./react": "useCraft",
  "./devices": "Devices",
  "./node-udp": "udp",
  "./debug": "SimulatedNetwork",
};

test("the package has what is built and what explains it, and nothing else", () => {
  const [{ files }] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json"], { cwd: root, encoding: "utf8" }));
  const names = files.map(({ path }) => path);
  const built = names.filter((name) => /^dist\/[a-z0-9-]+\.(js|cjs|d\.ts|d\.cts)$/.test(name));
  assert.deepEqual(names.filter((name) => !built.includes(name)).sort(), ["LICENSE", "README.md", "package.json"]);
  for (const conditions of Object.values(description.exports).filter((each) => typeof each === "object")) {
    for (const { types, default: code } of Object.values(conditions)) {
      for (const file of [types, code]) assert.ok(built.includes(file.slice(2)), `${file} is exported, and not there`);
    }
  }
});

test("every entry of the description is tested", () => {
  assert.deepEqual(Object.keys(description.exports), [...Object.keys(ENTRIES), "./package.json"]);
});

test("nothing is installed with it", () => assert.equal(description.dependencies, undefined));

for (const [entry, name] of Object.entries(ENTRIES)) {
  test(`${entry} exports ${name} to import and to require`, async () => {
    const specifier = `@craftnet/client${entry.slice(1)}`;
    assert.equal(typeof (await import(specifier))[name], "function");
    assert.equal(typeof require(specifier)[name], "function");
  });
}

test("a platform without a page, a WebSocket or a process can load it", () => {
  const script = `
    const vm = require("node:vm"), fs = require("node:fs");
    const context = vm.createContext({ performance, setTimeout, clearTimeout, queueMicrotask, AbortController, URL, TextDecoder });
    const loaded = new Map();
    async function link(specifier, from) {
      const path = new URL(specifier, from.identifier).pathname;
      if (!loaded.has(path)) loaded.set(path, new vm.SourceTextModule(fs.readFileSync(path, "utf8"), { context, identifier: "file://" + path }));
      return loaded.get(path);
    }
    (async () => {
      const main = new vm.SourceTextModule('import { Craftnet } from "./dist/index.js"; globalThis.made = new Craftnet("http://h", { getToken: () => "t" });', { context, identifier: "file://${root}main.js" });
      await main.link(link);
      await main.evaluate();
      if (!context.made) throw new Error("nothing was made");
    })();`;
  execFileSync(process.execPath, ["--experimental-vm-modules", "--no-warnings", "-e", script], { encoding: "utf8" });
});
