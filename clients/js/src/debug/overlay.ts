import type { Craftnet } from "../craftnet.js";
import type { AnyFeed, FeedEvents } from "../feed.js";
import type { Conditions, SimulatedNetwork } from "./network.js";

export interface OverlayOptions {
  /** Where the panel is put; the page's body unless given. */
  parent?: HTMLElement;
  /** The network whose conditions the panel changes. */
  network?: SimulatedNetwork;
  /** How many messages it keeps; 50 unless given. */
  messages?: number;
}

/** An element with a style that a strict content security policy allows. */
function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  style: Partial<CSSStyleDeclaration> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  Object.assign(made.style, style);
  made.append(...children);
  return made;
}

const PANEL: Partial<CSSStyleDeclaration> = {
  position: "fixed",
  right: "8px",
  bottom: "8px",
  width: "min(480px, calc(100vw - 16px))",
  maxHeight: "50vh",
  overflow: "auto",
  padding: "8px",
  font: "12px/16px ui-monospace, monospace",
  color: "#e8eaed",
  background: "#202124",
  border: "1px solid #5f6368",
  zIndex: "2147483647",
};

/** A message as a line: when it came, over what, how long it is, and what it says. */
function line({ arrival, transport }: FeedEvents["message"]): string {
  const time = new Date().toISOString().slice(11, 23);
  if (typeof arrival === "string") return `${time} ${transport} ${arrival.length} B ${arrival}`;
  const octets = arrival.octets ?? new Uint8Array();
  const hex = Array.from(octets, (octet) => octet.toString(16).padStart(2, "0")).join("");
  return `${time} ${transport} ${octets.length} B ${hex}`;
}

function control(
  network: SimulatedNetwork,
  name: "delay" | "jitter" | "loss",
  most: number,
  step: number,
): HTMLElement {
  const input = element("input");
  Object.assign(input, {
    type: "range",
    min: "0",
    max: String(most),
    step: String(step),
    value: String(network.conditions[name]),
  });
  const value = element("output", {}, input.value);
  input.addEventListener("input", () => {
    network.conditions[name] = Number(input.value);
    value.value = input.value;
  });
  return element("label", { display: "block" }, `${name} `, input, value);
}

function controls(network: SimulatedNetwork): HTMLElement {
  const offline = element("input");
  offline.type = "checkbox";
  offline.addEventListener("change", () => (network.conditions.offline = offline.checked));
  const cut = element("button", {}, "cut");
  cut.addEventListener("click", () => network.cut());
  return element(
    "fieldset",
    {},
    element("legend", {}, "network"),
    control(network, "delay", 2000, 10),
    control(network, "jitter", 2000, 10),
    control(network, "loss", 0.5, 0.01),
    element("label", {}, offline, " offline "),
    cut,
  );
}

export type { Conditions };

/** Shows the feeds of a client, their positions, and what they hear. Returns what removes it. */
export function overlay(
  craftnet: Craftnet,
  { parent = document.body, network, messages = 50 }: OverlayOptions = {},
): () => void {
  const feeds = element("div");
  const log = element("pre", { margin: "8px 0 0", whiteSpace: "pre-wrap", overflowWrap: "anywhere" });
  const panel = element(
    "section",
    PANEL,
    element("strong", {}, "craftnet"),
    feeds,
    ...(network ? [controls(network)] : []),
    log,
  );
  panel.setAttribute("aria-label", "craftnet debug");
  parent.append(panel);
  const stops = [craftnet.on("feed", (feed) => stops.push(...shown(feed)))];

  function shown(feed: AnyFeed): (() => void)[] {
    const row = element("div");
    feeds.append(row);
    const refresh = () => {
      const { kind, ...ids } = feed.target;
      row.textContent = `${kind} ${Object.values(ids).join(" ")}: ${feed.state} ${feed.result?.result ?? feed.position ?? ""}`;
    };
    refresh();
    const append = (message: FeedEvents["message"]) => {
      log.prepend(line(message), "\n");
      while (log.childNodes.length > 2 * messages) log.lastChild!.remove();
      queueMicrotask(refresh); // once the feed has applied it
    };
    return [feed.on("state", refresh), feed.on("ended", refresh), feed.on("message", append)];
  }

  return () => {
    stops.forEach((stop) => stop());
    panel.remove();
  };
}
