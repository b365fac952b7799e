import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { client, live, FakeTransport, notification, PLAYER, progress, SESSION, settle } from "./fake-server.js";

/** What a browser gives a script, as far as a client looks at it. */
class Page extends EventTarget {
  readonly document = { hidden: false };

  dispatch(type: string, more: object = {}): void {
    this.dispatchEvent(Object.assign(new Event(type), more));
  }
}

let page: Page;

beforeEach(() => {
  vi.useFakeTimers();
  page = new Page();
  for (const name of ["addEventListener", "removeEventListener"] as const) vi.stubGlobal(name, page[name].bind(page));
  vi.stubGlobal("document", page.document);
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test.each(["online", "pageshow", "visibilitychange"])("a feed that waits connects at once on %s", async (type) => {
  const { server, craft } = await live();
  server.newest.end(1006);
  page.dispatch(type);
  await settle();
  expect([craft.state, server.connections.length]).toEqual(["connecting", 2]);
});

test("an open feed must answer when the page wakes up, and is replaced when it does not", async () => {
  const { server, craft } = await live();
  await vi.advanceTimersByTimeAsync(10_000);
  page.dispatch("online");
  expect([server.newest.offered, craft.state]).toEqual([["token"], "live"]);
  await vi.advanceTimersByTimeAsync(6000);
  expect(craft.state).toBe("live");
  server.newest.answers = false;
  page.dispatch("visibilitychange");
  await vi.advanceTimersByTimeAsync(5000);
  expect(craft.state).toBe("waiting");
});

test("one that was heard lately is left alone", async () => {
  const { server } = await live();
  page.dispatch("online");
  expect(server.newest.offered).toEqual([]);
});

test("one that cannot be asked connects again", async () => {
  const { server } = await live({}, [new FakeTransport("sse", false)]);
  await vi.advanceTimersByTimeAsync(10_000);
  page.dispatch("online");
  await settle();
  expect(server.connections).toHaveLength(2);
});

test("a page that the browser keeps for later lets go of its connections until it is shown again", async () => {
  const { server, craft } = await live();
  page.dispatch("pagehide", { persisted: true });
  expect([craft.state, server.newest.closed]).toEqual(["idle", true]);
  page.dispatch("pageshow", { persisted: true });
  await settle();
  expect([craft.state, server.newest.request.resume]).toEqual(["connecting", "e:2"]);
});

test("suspend() and resume() do the same for an app, whose feeds no page event wakes meanwhile", async () => {
  const { craftnet, server, craft } = await live();
  craftnet.suspend();
  const other = craftnet.queue(PLAYER);
  page.dispatch("pageshow");
  page.dispatch("online");
  await settle();
  expect([craft.state, other.state, server.connections.length, vi.getTimerCount()]).toEqual(["idle", "idle", 1, 0]);
  craftnet.resume();
  await settle();
  expect(server.connections).toHaveLength(3);
});

test("the page has no listener once all feeds have ended", async () => {
  const remove = vi.fn();
  vi.stubGlobal("removeEventListener", remove);
  const { craftnet } = await live();
  craftnet.close();
  expect(remove.mock.calls.map(([type]) => type)).toEqual(["online", "pagehide", "pageshow", "visibilitychange"]);
});

class Kept {
  readonly items = new Map<string, string>();
  getItem = (key: string) => this.items.get(key) ?? null;
  setItem = (key: string, value: string) => void this.items.set(key, value);
  removeItem = (key: string) => void this.items.delete(key);
}

test("a page that is loaded again goes on where it was, with what it knew", async () => {
  const kept = new Kept();
  const before = await live({ storage: () => kept });
  before.server.newest.send(notification(3, "quality_too_low"));
  page.document.hidden = true;
  page.dispatch("visibilitychange");
  const { craftnet, server } = client({ storage: kept });
  const craft = craftnet.crafting(SESSION, { playerId: PLAYER });
  expect([craft.position, craft.snapshot.materials.length, craft.snapshot.progress?.percent]).toEqual(["e:3", 1, 20]);
  await settle();
  expect(server.newest.request.resume).toBe("e:3");
  server.newest.send(progress(4, 0, undefined, "completed"));
  expect(kept.items.size).toBe(0);
});

test.each([
  [
    "the storage",
    () => {
      throw new DOMException("denied", "SecurityError");
    },
  ],
  [
    "reading and writing",
    {
      getItem: () => "not JSON",
      setItem: () => {
        throw new Error("full");
      },
      removeItem: () => {
        throw new Error("gone");
      },
    },
  ],
] as const)("a browser that forbids %s keeps nothing, and the feed works", async (_, storage) => {
  const { craft } = await live({ storage });
  page.dispatch("pagehide", { persisted: false });
  craft.close();
  expect(craft.result?.result).toBe("closed");
});
