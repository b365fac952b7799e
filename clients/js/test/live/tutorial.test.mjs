/** The page of docs/tutorial/javascript.md, in Chromium, against a real server that is stopped in between. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { Crafted, Server } from "./server.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const skip = existsSync(CHROMIUM) ? false : "Chromium is not installed (Debian: apt-get install chromium)";
const SITE = "http://tutorial.example";
const server = new Server("--origin", SITE);
let browser;

before(async () => {
  if (skip) return;
  await server.start();
  const args = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-features=LocalNetworkAccessChecks"];
  browser = await chromium.launch({ executablePath: CHROMIUM, args });
});
after(async () => {
  await browser?.close();
  await server.stop();
});

test(
  "the tutorial's page shows a craft, a shortage, a server that stops and comes back, and the end",
  { skip },
  async () => {
    const text = readFileSync(new URL("../../../../docs/tutorial/javascript.md", import.meta.url), "utf8");
    const [, html] = /```html\n(.*?)```/s.exec(text);
    const page = await browser.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    await page.route(`${SITE}/*`, (route) => route.fulfill({ contentType: "text/html", body: html }));
    await page.route(`${SITE}/craftnet/*`, (route) => {
      const file = new URL(`../../dist/${route.request().url().split("/").at(-1)}`, import.meta.url);
      return route.fulfill({ contentType: "text/javascript", body: readFileSync(file, "utf8") });
    });
    const craft = new Crafted();
    await server.publish(craft.start());
    await page.goto(`${SITE}/#${server.url},${craft.session},${craft.player},${craft.token()}`);
    await page.getByText("live").waitFor();
    const value = () => page.evaluate(() => bar.value);
    const before = await value();
    await page.waitForFunction((least) => bar.value > least, before);
    await server.publish(craft.short(7));
    await page.getByText(`${craft.iron}: insufficient_quantity, 7 of 100`).waitFor();
    await server.stop("SIGKILL");
    await page.getByText("waiting").waitFor();
    await page.context().setOffline(true); // until the server knows the session again
    await server.start();
    await server.publish(craft.start());
    await page.context().setOffline(false);
    await page.getByText("live").waitFor();
    await server.publish(craft.complete());
    await page.getByText("completed").waitFor();
    await page.waitForFunction(() => bar.value === 100); // the bar is drawn with the next frame
    assert.deepEqual(errors, []);
  },
);
