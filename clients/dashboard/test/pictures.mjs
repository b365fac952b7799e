/** Draws the pictures of the documentation: `npm run pictures`, after a build. */

import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { FakeServer, SESSION, TOKEN } from "./fake-server.mjs";

const FOLDER = process.argv[2] ?? fileURLToPath(new URL("../../../docs/images/", import.meta.url));

const server = await new FakeServer().listen();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium" });

async function picture(name, { width, height, theme, route = "", prepare = async () => {} }) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, timezoneId: "UTC" });
  const page = await context.newPage();
  await page.goto(`${server.url}#token=${TOKEN}`);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  if (route) await page.evaluate((hash) => (location.hash = hash), route);
  await page.waitForTimeout(1200);
  await prepare(page);
  await page.screenshot({ path: `${FOLDER}/${name}.png` });
  await context.close();
}

const tracing = async (page) => {
  await page.getByRole("button", { name: "Trace" }).click();
  await page.waitForTimeout(2200);
};

await picture("dashboard-light", { width: 1280, height: 1120, theme: "light" });
await picture("dashboard-dark", { width: 1280, height: 1120, theme: "dark" });
await picture("dashboard-session", {
  width: 1280,
  height: 1240,
  theme: "light",
  route: `#/sessions/${SESSION}`,
  prepare: tracing,
});
await picture("dashboard-phone", { width: 390, height: 844, theme: "light" });
await browser.close();
await server.close();
