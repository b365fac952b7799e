/** The dashboard as `twistd craftnet --backend workshop` serves it. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { WebSocket } from "ws";

import { Server, token } from "../../js/test/live/server.mjs";
import { accessible, opened, skip } from "./browser.mjs";

const server = new Server("--backend", "workshop:players=12", "--dashboard", "on");
before(() => (skip ? undefined : server.start()));
after(() => server.stop());

const signedIn = async (page, route = "") => {
  await page.goto(`${server.url}/dashboard/#token=${token({ scope: "crafting:admin crafting:operate" })}`);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  if (route) await page.evaluate((hash) => (location.hash = hash), route);
};

test("shows the server's figures, within what is promised or not", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page);
    await page.getByRole("row", { name: /ready/ }).waitFor();
    await page.locator("article", { hasText: "Sessions" }).getByText("now").waitFor();
    await accessible(page);
  });
});

test("bars move, and a craft ends", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page, "#/sessions");
    const bar = await page
      .getByRole("row", { name: /active/ })
      .first()
      .locator(".bar > span")
      .elementHandle();
    const first = await bar.evaluate((element) => element.getBoundingClientRect().width);
    await page.waitForFunction(([element, width]) => element.getBoundingClientRect().width !== width, [bar, first]);
    await page
      .getByRole("row", { name: /completed|failed/ })
      .first()
      .waitFor({ timeout: 60_000 });
  });
});

test("a session is traced, and its watcher disconnected with an entry in the audit log", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page, "#/sessions");
    const row = page.getByRole("row", { name: /active/ }).first();
    // Both at once: a moment later, another session may be the first one.
    const [session, player] = await row.evaluate((element) =>
      [...element.querySelectorAll("a")].map(({ hash }) => hash.split("/").at(-1)),
    );
    const watcher = new WebSocket(`${server.url.replace("http", "ws")}/ws/crafting/${session}?player_id=${player}`, [
      "craftnet.json.v1",
      `bearer.${token({ player })}`,
    ]);
    const closed = new Promise((done) => (watcher.onclose = ({ code }) => done(code)));
    await page.evaluate((id) => (location.hash = `#/sessions/${id}`), session);
    await page.getByRole("button", { name: "Trace" }).click();
    await page
      .locator(".lane", { hasText: "Out: WebSocket" })
      .getByText(/progress_update/)
      .first()
      .waitFor();
    await page.getByRole("button", { name: "Disconnect" }).first().click();
    await page.getByLabel("Reason").fill("a test of the dashboard");
    await page.getByRole("button", { name: "Do it" }).click();
    await page.getByText(/done, 1 connection affected/).waitFor();
    assert.equal(await closed, 4009);
    await page.getByRole("link", { name: "Security" }).click();
    await page.getByText("a test of the dashboard").first().waitFor();
  });
});

test("a restart of the server is survived without a reload", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page);
    await server.stop();
    await page.getByText(/Disconnected/).waitFor();
    await server.start();
    await page.getByRole("status").getByText("Live").waitFor();
    await page.getByRole("row", { name: /ready/ }).waitFor();
  });
});
