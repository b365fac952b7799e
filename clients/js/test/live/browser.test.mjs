/** The built package in Chromium, against a real server; skipped where Chromium is not installed. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { Crafted, RefusingProxy, Server } from "./server.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const skip = existsSync(CHROMIUM) ? false : "Chromium is not installed (Debian: apt-get install chromium)";
// Else a page whose document the test made up waits for a user who allows it to connect to this machine.
const ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-features=LocalNetworkAccessChecks"];
const server = new Server("--refresh", "1");
const faults = [];
let browser;

before(async () => {
  if (skip) return;
  await server.start();
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
});
after(async () => {
  await browser?.close();
  await server.stop();
});

const DOCUMENT = `<!doctype html><title>test</title><script type="module">
  import * as library from "/client/index.js";
  const events = (self.events = []);
  self.library = library;
  self.watch = (url, session, player, token, options = {}) => {
    const storage = () => sessionStorage;
    self.craftnet = new library.Craftnet(url, { getToken: () => token, storage, ...options });
    self.craft = craftnet.crafting(session, { playerId: player });
    for (const type of ["state", "recovered", "ended"]) craft.on(type, (event) => events.push({ type, ...event }));
    return craft.ready({ timeout: 20000 });
  };
  self.loaded = true;
</script>`;

/** A page of the server's own site that has the package. */
async function visited(url = server.url) {
  const page = await browser.newPage();
  page.on("pageerror", (error) => faults.push(String(error)));
  await page.route(`${url}/page`, (route) => route.fulfill({ contentType: "text/html", body: DOCUMENT }));
  await page.route(`${url}/client/*`, (route) => {
    const file = new URL(`../../dist/${route.request().url().split("/").at(-1)}`, import.meta.url);
    return route.fulfill({ contentType: "text/javascript", body: readFileSync(file, "utf8") });
  });
  await page.goto(`${url}/page`);
  await page.waitForFunction("self.loaded");
  return page;
}

const watch = (page, craft, options = {}, token = craft.token()) =>
  page.evaluate(([url, ...rest]) => watch(url, ...rest), [server.url, craft.session, craft.player, token, options]);

test("a bar moves by itself and ends at 100", { skip }, async () => {
  const craft = new Crafted();
  await server.publish(craft.start(20));
  const page = await visited();
  await watch(page, craft);
  const seen = await page.evaluate(async () => {
    const values = [];
    for (let frame = 0; frame < 60; frame += 1) {
      await new Promise(requestAnimationFrame);
      values.push(craft.snapshot.progress.percentAt());
    }
    return values;
  });
  assert.ok(
    seen.every((value, k) => k === 0 || value >= seen[k - 1]),
    "it never runs backwards",
  );
  assert.ok(new Set(seen).size > 30, "it moves with the frames");
  await server.publish(craft.complete());
  await page.waitForFunction(() => craft.result?.result === "completed" && craft.snapshot.progress.percentAt() === 100);
  await page.close();
});

for (const transports of [["bin"], ["lz4"], ["json"]]) {
  test(`${transports} is read`, { skip }, async () => {
    const craft = new Crafted();
    await server.publish(craft.start(), craft.pause());
    const page = await visited();
    await watch(page, craft, { transports });
    assert.equal(await page.evaluate(() => craft.snapshot.progress.status), "paused");
    await page.close();
  });
}

test("a page that is loaded again goes on where it was", { skip }, async () => {
  const craft = new Crafted();
  await server.publish(craft.start());
  const page = await visited();
  await watch(page, craft);
  await server.publish(craft.short(7));
  await page.waitForFunction(() => craft.snapshot.materials[0]?.problem);
  await page.reload();
  await page.waitForFunction("self.loaded");
  await watch(page, craft);
  assert.deepEqual(await page.evaluate(() => events.filter(({ type }) => type === "recovered")), [
    { type: "recovered", recovered: true },
  ]);
  assert.equal(await page.evaluate(() => craft.snapshot.materials[0].problem.availableQuantity), 7);
  await page.close();
});

test("a feed that waits connects when the browser is online again", { skip }, async () => {
  const other = await new Server().start();
  const craft = new Crafted();
  await other.publish(craft.start());
  const page = await visited(other.url);
  const options = { reconnect: { min: 600_000, max: 600_000 } };
  await page.evaluate(
    ([url, ...rest]) => watch(url, ...rest),
    [other.url, craft.session, craft.player, craft.token(), options],
  );
  await other.stop("SIGKILL");
  await page.waitForFunction(() => craft.state === "waiting");
  await other.start();
  await other.publish(craft.start());
  await page.context().setOffline(true);
  await page.context().setOffline(false);
  await page.waitForFunction(() => craft.state === "live", undefined, { timeout: 20_000 });
  await page.close();
  await other.stop();
});

test("a page behind a proxy that refuses WebSockets falls back to event streams", { skip }, async () => {
  const proxy = await new RefusingProxy(server).start();
  const craft = new Crafted();
  await server.publish(craft.start());
  const page = await visited(proxy.url);
  const options = { reconnect: { min: 50, max: 200 } };
  await page.evaluate(
    ([url, ...rest]) => watch(url, ...rest),
    [proxy.url, craft.session, craft.player, craft.token(), options],
  );
  await page.evaluate(() => craft.on("message", ({ transport }) => events.push({ type: "message", transport })));
  await server.publish(craft.complete());
  await page.waitForFunction(() => craft.result?.result === "completed");
  const transports = await page.evaluate(() => events.filter(({ type }) => type === "message"));
  assert.deepEqual([...new Set(transports.map(({ transport }) => transport))], ["sse"]);
  await page.close();
  proxy.stop();
});

test("a page learns why it is refused", { skip }, async () => {
  const [craft, other] = [new Crafted(), new Crafted()];
  await server.publish(craft.start());
  const page = await visited();
  const refused = (session, token) =>
    page.evaluate(
      ([url, ...rest]) => watch(url, ...rest).catch(() => craft.result),
      [server.url, session, craft.player, token],
    );
  assert.equal((await refused(other.session, craft.token())).result, "not_found");
  assert.equal((await refused(craft.session, other.token())).result, "forbidden");
  assert.equal((await refused(craft.session, craft.token({ seconds: -5 }))).result, "unauthorized");
  await page.close();
});

test("a panel shows what is heard, and makes the network worse", { skip }, async () => {
  const craft = new Crafted();
  await server.publish(craft.start());
  const page = await visited();
  await page.evaluate(
    async ([url, session, player, token]) => {
      const { overlay, SimulatedNetwork } = await import("/client/debug.js");
      const network = new SimulatedNetwork({ delay: 20 });
      const options = {
        getToken: () => token,
        WebSocket: network.WebSocket,
        fetch: network.fetch,
        reconnect: { min: 10, max: 10 },
      };
      self.craftnet = new library.Craftnet(url, options);
      self.remove = overlay(craftnet, { network });
      self.craft = craftnet.crafting(session, { playerId: player });
      await craft.ready();
    },
    [server.url, craft.session, craft.player, craft.token()],
  );
  const panel = page.getByRole("region", { name: "craftnet debug" });
  await panel.getByText(`crafting ${craft.session} ${craft.player}: live`).waitFor();
  assert.match(await panel.locator("pre").textContent(), /websocket \d+ B \{"type":"queue_status"/);
  const states = page.evaluate(
    () =>
      new Promise((resolve) => {
        const seen = [];
        craft.on("state", ({ to }) => seen.push(to) && to === "live" && resolve(seen));
      }),
  );
  await panel.getByText("cut").click();
  assert.deepEqual(await states, ["waiting", "connecting", "live"]);
  await page.evaluate(() => remove());
  assert.equal(await panel.count(), 0);
  await page.close();
});

test("no page had an uncaught error", { skip }, () => assert.deepEqual(faults, []));
