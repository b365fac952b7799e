/** The player's view: signs in, follows everything of the player, and draws it. */

import { Craftnet, UnauthorizedError, type CraftSnapshot, type Player } from "@craftnet/client";

import { accessFrom, forget, foundAccess, keep, type Access } from "./access.js";
import { Comparison } from "./comparison.js";
import { CraftCard } from "./craft-card.js";
import { h, show, text, words } from "./dom.js";
import { Notices } from "./notices.js";
import { QueueCard } from "./queue-card.js";
import { Workshop } from "./workshop.js";
import "./style.css";

/** The server's address with its base path: the page is at …/demo/. */
const URL_OF_SERVER = new URL("..", location.href).href.replace(/\/$/, "");

const CONNECTION = {
  idle: ["○", "Connecting"],
  connecting: ["◐", "Connecting"],
  live: ["●", "Live"],
  waiting: ["◌", "Reconnecting"],
  ended: ["✕", "Ended"],
} as const;

function signIn(reason = ""): void {
  const input = h("textarea", { id: "token", rows: 4, required: true, spellcheck: false, autocomplete: "off" });
  const problem = h("p", { class: "problem", role: "alert" }, reason);
  const form = h(
    "form",
    { class: "card sign-in" },
    h("h1", {}, "Workshop"),
    h(
      "p",
      {},
      "Follow the link that ",
      h("code", {}, "make run"),
      " prints, or paste that link or a player’s token here.",
    ),
    h("label", { for: "token" }, "Link or token"),
    input,
    problem,
    h("button", { type: "submit", class: "primary" }, "Show my crafts"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const access = keep(accessFrom(input.value));
    if (access) void run(access);
    else
      text(problem, "That is no token of a player: it has three parts with dots between, and names the player as sub.");
  });
  document.body.replaceChildren(h("main", { class: "narrow" }, form));
  input.focus();
}

async function run(access: Access): Promise<void> {
  const craftnet = new Craftnet(URL_OF_SERVER, {
    getToken: ({ reason }) => {
      if (reason === "refused" || reason === "expired")
        throw new UnauthorizedError("the token is not accepted any more");
      return access.token;
    },
    reconnect: { min: 300, max: 5000 },
  });
  const player = await craftnet.player(access.playerId);
  const workshop = new Workshop(URL_OF_SERVER, access.playerId, access.token, () => refresh());
  const card = new CraftCard();
  const queue = new QueueCard(() => workshop.jump());
  const comparison = new Comparison(URL_OF_SERVER, access);
  const notices = new Notices();
  const state = connectionState(player);
  const history = h("ol", { class: "history" });
  const past = h("section", { class: "card past", "aria-label": "Before" }, h("h2", {}, "Before"), history);
  let last: { sessionId: string; craft: CraftSnapshot } | null = null;

  function refresh(): void {
    const { crafts, places } = player.snapshot;
    const [sessionId, craft] = Object.entries(crafts).at(-1) ?? [last?.sessionId ?? "", last?.craft ?? null];
    const waiting = Object.values(places);
    card.show(craft, sessionId ? workshop.described(sessionId) : undefined, waiting.length > 0);
    queue.show(waiting);
    comparison.show(sessionId, craft);
    show(past, history.childElementCount > 0);
  }

  player.on("craft", ({ sessionId, craft }) => {
    const { status, failureReason } = craft.progress ?? {};
    if (status === "completed" || status === "failed") {
      if (last?.sessionId !== sessionId) ended(sessionId, status, failureReason ?? "");
      last = { sessionId, craft };
    }
    refresh();
  });

  function ended(sessionId: string, status: "completed" | "failed", reason: string): void {
    const name = workshop.described(sessionId)?.recipe ?? "A craft";
    const word = status === "completed" ? "complete" : `failed${reason && `: ${words(reason).toLowerCase()}`}`;
    const shape = h("span", { class: `shape ${status}`, "aria-hidden": "true" }, status === "completed" ? "✓" : "✕");
    history.prepend(
      h(
        "li",
        {},
        shape,
        h("span", {}, `${name}, ${word}`),
        h("time", { class: "muted" }, new Date().toLocaleTimeString([], { timeStyle: "short" })),
      ),
    );
    while (history.childElementCount > 5) history.lastElementChild!.remove();
    void notices.say(status === "completed" ? "Craft complete" : "Craft failed", name);
  }

  player.on("queue", ({ news, place }) => {
    if (news === "station_available")
      void notices.say("Station free", place.stationType ? words(place.stationType) : "Your turn");
    refresh();
  });
  player.on("state", refresh);
  player.on("ended", ({ result, reason }) => {
    craftnet.close();
    if (result === "closed") return;
    forget();
    signIn(
      result === "unauthorized"
        ? "The server does not accept the token any more."
        : `The server ended the feed: ${reason || words(result)}.`,
    );
  });

  const header = h("header", { class: "top" }, h("h1", {}, "Workshop"), state, notices.element);
  document.body.replaceChildren(
    header,
    h(
      "main",
      {},
      h("div", { class: "columns" }, card.element, h("div", { class: "side" }, queue.element, past)),
      comparison.element,
    ),
  );
  refresh();
  requestAnimationFrame(function draw() {
    card.draw();
    comparison.draw();
    if (player.state !== "ended") requestAnimationFrame(draw);
  });
}

function connectionState(player: Player): HTMLElement {
  const shape = h("span", { class: "shape", "aria-hidden": "true" });
  const word = h("span");
  const element = h("p", { class: "chip", role: "status" }, shape, word);
  const refresh = () => {
    const [mark, name] = CONNECTION[player.state];
    element.dataset["state"] = player.state;
    text(shape, mark);
    text(word, name);
  };
  player.on("state", refresh);
  refresh();
  return element;
}

const access = foundAccess();
if (access) void run(access);
else signIn();
if ("serviceWorker" in navigator) void navigator.serviceWorker.register("./sw.js").catch(() => {});
