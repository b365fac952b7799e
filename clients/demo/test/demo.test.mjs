/** The player's view in Chromium, as `twistd craftnet --backend workshop` serves it. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";

import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

import { Crafted, Server, token } from "../../js/test/live/server.mjs";

const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";
const skip = existsSync(EXECUTABLE) ? false : `${EXECUTABLE} is not installed`;

const server = new Server("--backend", "workshop:players=1", "--refresh", "1");
let browser;

before(async () => {
  if (skip) return;
  await server.start();
  browser = await chromium.launch({ executablePath: EXECUTABLE, args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  await server.stop();
});

const longest = (one, other) => other.estimated_wait_seconds - one.estimated_wait_seconds;

/** A page of a player, and what it complained about. */
async function opened(craft, options = {}, url = server.url) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(`${url}/demo/#token=${craft.token()}`);
  await page.locator('[data-state="live"]').waitFor();
  return { page, context, complaints };
}

const percent = (page) =>
  page
    .locator(".craft .bar")
    .getAttribute("aria-valuenow")
    .then((value) => Number(value ?? -1));

/** Resolves when the bar has passed `least` percent. */
const passed = (page, least) =>
  page.waitForFunction(
    (wanted) => Number(document.querySelector(".craft .bar").getAttribute("aria-valuenow")) >= wanted,
    least,
  );

test("the token leaves the address bar, the bar moves, and the craft completes", { skip }, async () => {
  const craft = new Crafted();
  await server.publish(craft.start(20));
  const { page, context, complaints } = await opened(craft);
  assert.equal(new URL(page.url()).hash, "");
  await passed(page, 10);
  const [one, other] = [await percent(page), await passed(page, 20).then(() => percent(page))];
  assert.ok(other > one);
  await server.publish(craft.short(3));
  await page.getByText("not enough: 3 of 100").waitFor();
  await server.publish(craft.pause());
  await page.locator('.craft[data-status="paused"]').waitFor();
  await server.publish(craft.resume(), craft.complete());
  await page.locator('.craft[data-status="completed"]').waitFor();
  assert.equal(await percent(page), 100);
  await page.locator(".history").getByText("complete").waitFor();
  const failing = new Crafted(craft.player);
  await server.publish(failing.start(20));
  await page.locator('.craft[data-status="active"]').waitFor();
  await server.publish(failing.fail());
  await page.locator('.craft[data-status="failed"]').waitFor();
  await page.getByText("Recipe error", { exact: true }).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});

test("places in queues, and a jump that the workshop decides about", { skip }, async () => {
  const craft = new Crafted();
  const { page, context, complaints } = await opened(craft);
  await page.getByText("You wait for no station.").waitFor();
  await server.publish(craft.queued(2));
  await page.getByText("2nd in line").waitFor();
  await page.getByRole("button", { name: "Move to the front" }).click();
  await page.getByText("You are already in front.").waitFor(); // the simulation does not know this player
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a player who waits jumps to the front of the queue", { skip }, async () => {
  const workshop = await new Server("--backend", "workshop:players=60").start();
  try {
    let waiting;
    while (!waiting) {
      const headers = { authorization: `Bearer ${token({ scope: "crafting:admin" })}` };
      const { entries } = await (await fetch(`${workshop.url}/admin/queues?limit=100`, { headers })).json();
      [waiting] = entries.filter((entry) => entry.queue_position > 2).sort(longest);
      if (!waiting) await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const { page, context, complaints } = await opened(new Crafted(waiting.player_id), {}, workshop.url);
    await page.getByText(/(rd|th) in line/).waitFor();
    await page.getByRole("button", { name: "Move to the front" }).click();
    await page.getByText("Next in line").waitFor();
    assert.equal(await page.getByRole("button", { name: "Move to the front" }).count(), 0);
    assert.deepEqual(complaints, []);
    await context.close();
  } finally {
    await workshop.stop();
  }
});

test("a restart of the server is survived without a reload", { skip }, async () => {
  const craft = new Crafted();
  const { page, context } = await opened(craft);
  await page.evaluate(() => (self.untouched = true));
  await server.stop();
  await page.locator('[data-state="waiting"], [data-state="connecting"]').first().waitFor();
  await server.start();
  await server.publish(craft.start(20));
  await passed(page, 5);
  assert.equal(await page.evaluate(() => self.untouched), true);
  await context.close();
});

test("offline and online again, and a change of network", { skip }, async () => {
  const craft = new Crafted();
  await server.publish(craft.start(30));
  const { page, context } = await opened(craft);
  await passed(page, 1);
  await context.setOffline(true);
  const before = await percent(page);
  await passed(page, before + 5); // it goes on by itself
  await context.setOffline(false);
  await server.publish(craft.pause());
  await page.locator('.craft[data-status="paused"]').waitFor();
  await context.close();
});

test("on a slow network craftnet's model needs fewer bytes, and is closer to the truth", { skip }, async () => {
  const craft = new Crafted();
  await server.publish(craft.start(40));
  const { page, context, complaints } = await opened(craft);
  await page.getByRole("button", { name: "Train" }).click();
  await page
    .locator(".summary")
    .getByText(/times fewer bytes, .+ times closer to the truth/)
    .waitFor();
  await page.getByLabel("Offline").check();
  const bar = page.locator(".lane .bar").nth(1);
  const before = Number(await bar.getAttribute("aria-valuenow"));
  await page.waitForFunction(
    (least) => Number(document.querySelectorAll(".lane .bar")[1].getAttribute("aria-valuenow")) > least + 3,
    before,
  );
  assert.deepEqual(complaints, []);
  await context.close();
});

for (const [name, options] of [
  ["light", { colorScheme: "light" }],
  ["dark", { colorScheme: "dark" }],
  ["a phone", { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }],
]) {
  test(`axe finds nothing: ${name}`, { skip }, async () => {
    const craft = new Crafted();
    await server.publish(craft.start(60), craft.queued(3), craft.short(3));
    const { page, context } = await opened(craft, options);
    await page.getByText("not enough").waitFor();
    const { violations } = await new AxeBuilder({ page }).analyze();
    assert.deepEqual(
      violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
      [],
    );
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${overflow} px too wide`);
    await context.close();
  });
}

test("the keyboard reaches everything", { skip }, async () => {
  const craft = new Crafted();
  await server.publish(craft.start(60), craft.queued(3));
  const { page, context } = await opened(craft);
  await page.getByText("3rd in line").waitFor();
  const reached = new Set();
  for (let count = 0; count < 14; count += 1) {
    await page.keyboard.press("Tab");
    reached.add(
      await page.evaluate(() => {
        const { activeElement: at } = document;
        return at.textContent.trim() || at.closest("label")?.textContent.trim() || at.tagName;
      }),
    );
  }
  for (const wanted of ["Notify me", "Train", "Offline"]) assert.ok(reached.has(wanted), [...reached].join(", "));
  assert.ok([...reached].some((name) => name.startsWith("Move to the front")));
  await context.close();
});

test("without a token there is a form, and a refused one leads back to it", { skip }, async () => {
  const page = await browser.newPage();
  await page.goto(`${server.url}/demo/`);
  await page.getByLabel("Link or token").fill("nonsense");
  await page.getByRole("button").click();
  await page.getByText("That is no token").waitFor();
  await page.getByLabel("Link or token").fill(new Crafted().token({ seconds: -5 }));
  await page.getByRole("button").click();
  await page.getByText("does not accept the token").waitFor();
  await page.close();
});

test("it can be installed, opens without a network, and notifies while it is open", { skip }, async () => {
  const craft = new Crafted();
  const { page, context } = await opened(craft, { permissions: ["notifications"] });
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => true));
  const devtools = await context.newCDPSession(page);
  const { errors } = await devtools.send("Page.getAppManifest");
  assert.deepEqual(errors, []);
  const { installabilityErrors } = await devtools.send("Page.getInstallabilityErrors");
  // Private windows, which tests use, cannot install anything.
  assert.deepEqual(
    installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== "in-incognito"),
    [],
  );
  await page.reload();
  await page.locator('[data-state="live"]').waitFor(); // the worker has seen every file now
  await context.setOffline(true);
  await page.reload();
  await page.getByRole("heading", { name: "Workshop" }).waitFor();
  await context.setOffline(false);
  await page.locator('[data-state="live"]').waitFor();
  await page.evaluate(async () => {
    Object.defineProperty(document, "hidden", { value: true });
    const registration = await navigator.serviceWorker.getRegistration();
    self.notified = [];
    registration.showNotification = async (title, { body }) => void self.notified.push([title, body]);
    ServiceWorkerRegistration.prototype.showNotification = registration.showNotification;
  });
  await server.publish(craft.start(60), craft.complete());
  await page.waitForFunction(() => self.notified.length === 1);
  assert.equal((await page.evaluate(() => self.notified))[0][0], "Craft complete");
  await context.close();
});
