/** The built page in Chromium, against a server with figures of its own. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { accessible, opened, skip } from "./browser.mjs";
import { CONNECTION, FakeServer, PLAYER, SESSION, TOKEN } from "./fake-server.mjs";

let server;
before(async () => (server = await new FakeServer().listen()));
after(() => server.close());

const signedIn = async (page, route = "") => {
  await page.goto(`${server.url}#token=${TOKEN}`);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  if (route) await page.evaluate((hash) => (location.hash = hash), route);
};

test("a token is asked for, refused with the server's reason, and taken", { skip }, async () => {
  await opened(async (page) => {
    await page.goto(server.url);
    await accessible(page);
    await page.getByLabel("Token").fill("nonsense");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText("The token is not valid.").waitFor();
    await page.getByLabel("Token").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.reload();
    await page.getByLabel("Token").waitFor(); // it was in memory only
  });
});

test("a token in the fragment leaves the address at once", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page);
    assert.doesNotMatch(page.url(), /token/);
    assert.equal(await page.evaluate(() => localStorage.length + sessionStorage.length), 0);
  });
});

test("the page that was asked for is shown after signing in", { skip }, async () => {
  await opened(async (page) => {
    await page.goto(`${server.url}#/sessions/${SESSION}`);
    await page.getByLabel("Token").fill("nonsense");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Token").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: `Session ${SESSION}` }).waitFor();
    assert.equal(await page.title(), `${SESSION} – craftnet`);
  });
});

test("a link with a token and a page leads to the page, also when one is open", { skip }, async () => {
  await opened(async (page) => {
    await page.goto(`${server.url}#/health&token=${TOKEN}`);
    await page.getByRole("heading", { name: "Health", level: 1 }).waitFor();
    assert.equal(new URL(page.url()).hash, "#/health");
    await page.evaluate((token) => (location.hash = `#token=${token}&/queues`), TOKEN);
    await page.getByRole("heading", { name: "Queues", level: 1 }).waitFor();
    assert.equal(new URL(page.url()).hash, "#/queues");
  });
});

test("a printed page has no column of buttons", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page, `#/sessions/${SESSION}`);
    const heading = page.getByRole("columnheader", { name: "Action" });
    await heading.waitFor();
    await page.emulateMedia({ media: "print" });
    assert.equal(await heading.count(), 0);
  });
});

test("a place in a queue has the price of the first place", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page, "#/queues");
    await page.getByRole("row", { name: /laboratory 3 12 1 min 35 s 40/ }).waitFor();
  });
});

test("a node has a page: its limits, its neighbours, and what can be done with it", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page);
    await page.getByRole("link", { name: "craft-2:worker-1" }).click();
    await page.getByRole("heading", { name: "Node craft-2:worker-1" }).waitFor();
    await page.getByText("1,478 of 20,000").waitFor();
    for (const name of ["Connections", "Deliveries per second", "Event loop delay", "Memory"])
      await page.getByRole("img", { name: `${name}, the last 3 minutes` }).waitFor();
    await page.getByRole("row", { name: /craft-2:worker-0 draining/ }).waitFor();
    await page.getByRole("button", { name: "Drain" }).first().click();
    await page.getByLabel("Reason").fill("a new version");
    await page.getByRole("button", { name: "Do it" }).click();
    await page.getByText(/Drain craft-2:worker-1: done/).waitFor();
    assert.deepEqual(server.actions.at(-1), {
      path: "/admin/nodes/craft-2:worker-1/drain",
      body: { reason: "a new version" },
    });
    await page.evaluate(() => (location.hash = "#/nodes/gone"));
    await page.getByText("There is no node gone now.").waitFor();
  });
});

for (const [route, heading] of [
  ["", "Overview"],
  ["#/sessions", "Sessions"],
  [`#/sessions/${SESSION}`, `Session ${SESSION}`],
  ["#/queues", "Queues"],
  ["#/nodes/craft-2%3Aworker-1", "Node craft-2:worker-1"],
  [`#/players/${PLAYER}`, `Player ${PLAYER}`],
  ["#/slow", "Slow consumers"],
  ["#/security", "Security events"],
  ["#/health", "Health"],
  ["#/configuration", "Configuration"],
]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`${heading} is accessible in ${colorScheme} colours`, { skip }, async () => {
      await opened(
        async (page) => {
          await signedIn(page, route);
          await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
          await accessible(page);
        },
        { colorScheme },
      );
    });
  }
}

test("figures stand against what is promised", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page);
    const card = (title) => page.locator("article", { has: page.getByRole("heading", { name: title }) });
    await card("Event to WebSocket").getByText("kept").waitFor();
    await card("Event to UDP").getByText("missed").waitFor();
    await page.getByRole("row", { name: /craft-3:4711 silent/ }).waitFor();
  });
});

test("bars move by themselves", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page, "#/sessions");
    const bar = page
      .getByRole("row", { name: /active/ })
      .first()
      .locator(".bar > span");
    const width = () => bar.evaluate((element) => element.getBoundingClientRect().width);
    const first = await width();
    await page.waitForFunction(
      ([element, before]) => element.getBoundingClientRect().width > before,
      [await bar.elementHandle(), first],
    );
  });
});

test("a search shows what matches, and says when nothing does", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page, "#/sessions");
    await page.getByRole("searchbox").fill(SESSION.slice(0, 8));
    await page.locator("tbody tr").nth(1).waitFor({ state: "detached" });
    await page.getByRole("searchbox").fill("ffffffff");
    await page.getByText("No session here matches ffffffff.").waitFor();
    await page.getByRole("searchbox").fill("xyz");
    await page.getByText("An id has hexadecimal digits").waitFor();
  });
});

test("a trace shows every transport side by side, and stops", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page, `#/sessions/${SESSION}`);
    await page.getByRole("button", { name: "Trace" }).click();
    for (const title of ["Events in", "Out: WebSocket", "Out: UDP", "Out: event stream"])
      await page
        .locator(".lane", { hasText: title })
        .getByText(/progress/)
        .first()
        .waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText("Shows each event that arrives").waitFor();
  });
});

test("an action needs a reason, and can be refused", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page, `#/sessions/${SESSION}`);
    await page.getByRole("button", { name: "Disconnect" }).first().click();
    const dialog = page.getByRole("dialog");
    await accessible(page);
    assert.equal(await dialog.getByRole("button", { name: "Do it" }).isDisabled(), true);
    await dialog.getByLabel("Reason").fill("refuse");
    await dialog.getByRole("button", { name: "Do it" }).click();
    await dialog.getByText("This needs crafting:operate.").waitFor();
    await dialog.getByLabel("Reason").fill("plays with another player's token");
    await page.keyboard.press("Enter");
    await page.getByText(/done, 1 connection affected/).waitFor();
    assert.deepEqual(server.actions.at(-1), {
      path: `/admin/connections/${CONNECTION}/disconnect`,
      body: { reason: "plays with another player's token" },
    });
  });
});

test("an observer sees no action", { skip }, async () => {
  const observed = await new FakeServer({ mayOperate: false }).listen();
  try {
    await opened(async (page) => {
      await page.goto(`${observed.url}#token=${TOKEN}`);
      await page.getByText("read-only").waitFor();
      assert.equal(await page.getByRole("button", { name: "Drain" }).count(), 0);
    });
  } finally {
    await observed.close();
  }
});

test("a lost connection is said, and comes back with the same subscriptions", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page, "#/sessions");
    await page.getByRole("row").nth(2).waitFor();
    server.drop(1001, "retry in 1.5 s");
    await page.getByText(/Disconnected, next attempt in/).waitFor();
    await page.getByRole("status").getByText("Live").waitFor();
    await page.getByRole("row").nth(2).waitFor();
  });
});

test("an end that is final says why", { skip }, async () => {
  await opened(async (page) => {
    await signedIn(page);
    server.drop(4003, "the token was revoked");
    await page.getByRole("alert").getByText("The token was revoked.").waitFor();
    await page.getByText("Ended").waitFor();
  });
});

test("a phone shows everything without scrolling sideways", { skip }, async () => {
  await opened(
    async (page) => {
      await signedIn(page);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${wide} px too wide`);
    },
    { viewport: { width: 390, height: 844 } },
  );
});
