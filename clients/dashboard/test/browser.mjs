/** A page in Chromium that fails its test for every error in the console, violations of the content policy included. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after } from "node:test";

import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Why the tests of this page are skipped; false where they are not. */
export const skip = existsSync(executablePath) ? false : `${executablePath} is not installed`;

let browser;
after(() => browser?.close());

export async function opened(use, options = {}) {
  browser ??= await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
  await use(page, context);
  await context.close();
  // A connection that is refused or lost is reported by the browser itself.
  const own = problems.filter((text) => !/WebSocket connection to|Failed to load resource/.test(text));
  assert.deepEqual(own, []);
}

export async function accessible(page) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(
    violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target).join(", ")}`),
    [],
  );
}
