/** A page in Chromium that fails its test for every error in the console, violations of the content policy included. */

import assert from "node:assert/strict";

import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

export const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

export async function opened(use, options = {}) {
  const browser = await chromium.launch({ executablePath });
  try {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const problems = [];
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    page.on("pageerror", (error) => problems.push(String(error)));
    await use(page, context);
    // A connection that is refused or lost is reported by the browser itself.
    const own = problems.filter((text) => !/WebSocket connection to|Failed to load resource/.test(text));
    assert.deepEqual(own, []);
  } finally {
    await browser.close();
  }
}

export async function accessible(page) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(
    violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target).join(", ")}`),
    [],
  );
}
