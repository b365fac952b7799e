/** Makes the pictures of the player's view in docs/images: `npm run pictures`. Needs Chromium and the server's `.venv`. */

import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { Server, token } from "../../js/test/live/server.mjs";

const IMAGES = process.env.IMAGES ?? fileURLToPath(new URL("../../../docs/images", import.meta.url));
const SECONDS = Number(process.env.SECONDS ?? 32); // of comparison before the picture is taken

const server = await new Server("--backend", "workshop:seed=7:players=60").start();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});

/** The simulated player whom the server names when it starts. */
const featured = /watch --player (\S+)/.exec(await server.printed(/watch --player \S+/))[1];

async function opened(player, options) {
  const context = await browser.newContext({ deviceScaleFactor: 2, ...options });
  const page = await context.newPage();
  await page.goto(`${server.url}/demo/#token=${token({ player })}`);
  await page.locator('[data-state="live"]').waitFor();
  return page;
}

try {
  mkdirSync(IMAGES, { recursive: true });
  const desktop = { viewport: { width: 1136, height: 900 } };
  const pages = {
    light: await opened(featured, { ...desktop, colorScheme: "light" }),
    dark: await opened(featured, { ...desktop, colorScheme: "dark" }),
    phone: await opened(featured, { viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true }),
  };
  for (const page of Object.values(pages)) await page.getByRole("button", { name: "Train" }).click();
  await pages.light.waitForTimeout(SECONDS * 1000);
  await pages.light.locator(".comparison").screenshot({ path: `${IMAGES}/comparison.png` });
  await pages.light.screenshot({ path: `${IMAGES}/demo.png`, fullPage: true });
  await pages.dark.screenshot({ path: `${IMAGES}/demo-dark.png`, fullPage: true });
  await pages.phone.screenshot({ path: `${IMAGES}/demo-phone.png` });
} finally {
  await browser.close();
  await server.stop();
}
