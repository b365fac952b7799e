/** The same craft twice through the same simulated network: as snapshots ten times a second, and as craftnet's model. */

import { Craftnet, type Craft, type CraftSnapshot, type Progress } from "@craftnet/client";
import { SimulatedNetwork } from "@craftnet/client/debug";

import type { Access } from "./access.js";
import { Bar, bytes, h, show, text } from "./dom.js";
import { Trace } from "./trace.js";

const INTERVAL = 100; // milliseconds between two snapshots
const FRAME = 4; // bytes of a WebSocket frame's header

/** Delay and jitter in milliseconds, loss as a share of messages. */
const NETWORKS = {
  Perfect: { delay: 0, jitter: 0, loss: 0 },
  Home: { delay: 20, jitter: 10, loss: 0.01 },
  Mobile: { delay: 120, jitter: 120, loss: 0.05 },
  Train: { delay: 400, jitter: 800, loss: 0.2 },
};

/** One of the two: what it shows, how far that is from the truth, and what it cost. */
class Lane {
  readonly element: HTMLElement;
  percent: number | null = null;
  #truth = h("div", { class: "truth" });
  #bar: Bar;
  #value = h("span", { class: "figure" });
  #error = h("dd", { class: "figure" });
  #mean = h("dd", { class: "figure" });
  #bytes = h("dd", { class: "figure" });
  #rate = h("dd", { class: "figure" });
  #trace = new Trace();
  #sum = 0;
  #count = 0;
  #total = 0;
  #since = performance.now();

  constructor(title: string, explained: string) {
    this.#bar = new Bar(title, this.#truth);
    const figure = (name: string, value: HTMLElement) => h("div", {}, h("dt", {}, name), value);
    this.element = h(
      "article",
      { class: "lane" },
      h("header", {}, h("h3", {}, title), this.#value),
      this.#bar.element,
      h("p", { class: "muted" }, explained),
      this.#trace.element,
      h(
        "dl",
        {},
        figure("Error now", this.#error),
        figure("Mean error", this.#mean),
        figure("Received", this.#bytes),
        figure("Per second", this.#rate),
      ),
    );
  }

  received(octets: number): void {
    this.#total += octets + FRAME;
  }

  reset(): void {
    this.#sum = this.#count = this.#total = 0;
    this.#since = performance.now();
    this.#trace.clear();
  }

  get mean(): number {
    return this.#count ? this.#sum / this.#count : 0;
  }

  get total(): number {
    return this.#total;
  }

  draw(truth: number): void {
    const shown = this.percent;
    this.#truth.style.transform = `translateX(${truth}%)`;
    this.#bar.set(shown ?? 0);
    text(this.#value, shown === null ? "–" : `${shown.toFixed(1)} %`);
    if (shown === null) return;
    const error = Math.abs(shown - truth);
    this.#sum += error;
    this.#count += 1;
    this.#trace.add(error);
    // Numbers that change in every frame cannot be read.
    if (this.#count % 15 !== 1) return;
    const seconds = Math.max(1, (performance.now() - this.#since) / 1000);
    text(this.#error, `${error.toFixed(2)} points`);
    text(this.#mean, `${this.mean.toFixed(2)} points`);
    text(this.#bytes, bytes(this.#total));
    text(this.#rate, `${bytes(this.#total / seconds)}/s`);
  }
}

export class Comparison {
  readonly element: HTMLElement;
  #network = new SimulatedNetwork(NETWORKS.Mobile);
  #craftnet: Craftnet;
  #snapshots = new Lane(
    "Snapshots, 10 a second",
    "JSON, each time the whole state. The bar shows the newest that has arrived.",
  );
  #model = new Lane("craftnet’s model", "A function of time, sent when it changes. The bar follows it by itself.");
  #direction = this.#network.lane();
  #feed: Craft | undefined;
  #sessionId = "";
  #truth: Progress | null = null;
  #summary = h("p", { class: "summary", role: "status" });
  #waiting = h("p", { class: "muted" }, "Waits for the next craft.");
  #lanes = h("div", { class: "lanes" }, this.#snapshots.element, this.#model.element);

  constructor(
    url: string,
    private readonly access: Access,
  ) {
    this.#craftnet = new Craftnet(url, {
      getToken: () => access.token,
      WebSocket: this.#network.WebSocket,
      fetch: this.#network.fetch,
      transports: ["bin", "json"],
      reconnect: { min: 200, max: 2000 },
    });
    this.element = h(
      "section",
      { class: "card comparison", "aria-label": "Comparison" },
      h(
        "header",
        {},
        h(
          "div",
          {},
          h("h2", {}, "The same craft, twice"),
          h(
            "p",
            { class: "muted" },
            "Both bars are behind the network that you choose here. The mark on each is the truth.",
          ),
        ),
      ),
      this.#controls(),
      this.#waiting,
      this.#lanes,
      this.#summary,
    );
    this.show("", null);
    setInterval(() => this.#snapshot(), INTERVAL);
    setInterval(() => this.#summarize(), 1000);
  }

  /** Compares this craft, whose newest state is known without the simulated network; null: none. */
  show(sessionId: string, craft: CraftSnapshot | null): void {
    const progress = craft?.progress ?? null;
    const runs = progress !== null && progress.status !== "completed" && progress.status !== "failed";
    show(this.#waiting, !runs);
    show(this.#lanes, runs);
    show(this.#summary, runs);
    this.#truth = runs ? progress : null;
    if (!runs || sessionId === this.#sessionId) return;
    this.#sessionId = sessionId;
    this.#feed?.close();
    this.reset();
    this.#snapshots.percent = this.#model.percent = null;
    const feed = (this.#feed = this.#craftnet.crafting(sessionId, { playerId: this.access.playerId }));
    feed.on("message", ({ arrival }) => {
      const size =
        typeof arrival === "string" ? new TextEncoder().encode(arrival).length : (arrival.octets?.length ?? 0);
      this.#model.received(size);
    });
  }

  reset(): void {
    this.#snapshots.reset();
    this.#model.reset();
  }

  /** What a server without a model would send: the contract's message, with everything that it says now. */
  #snapshot(): void {
    const truth = this.#truth;
    if (!truth) return;
    const percent = truth.percentAt();
    const sessionId = this.#sessionId;
    const message = JSON.stringify({
      type: "progress_update",
      session_id: sessionId,
      timestamp: new Date().toISOString(),
      progress_data: {
        session_id: sessionId,
        progress_percentage: Number(percent.toFixed(2)),
        status: truth.status,
        remaining_time_seconds: Math.round(truth.remainingAt() ?? 0),
        current_quality: truth.quality ?? undefined,
        target_quality: truth.targetQuality ?? undefined,
      },
    });
    this.#direction(() => {
      if (sessionId !== this.#sessionId) return;
      this.#snapshots.received(message.length);
      this.#snapshots.percent = percent;
    });
  }

  #summarize(): void {
    if (!this.#truth || !this.#model.total) return;
    const fewer = this.#snapshots.total / this.#model.total;
    const closer = this.#snapshots.mean / Math.max(this.#model.mean, 0.005);
    const parts = [
      fewer > 1.2 && `${fewer.toFixed(0)} times fewer bytes`,
      closer > 1.2 && `${closer.toFixed(0)} times closer to the truth`,
    ];
    const said = parts.filter(Boolean).join(", ");
    text(this.#summary, said && `craftnet’s model: ${said}.`);
  }

  /** Called in each frame. */
  draw(): void {
    const truth = this.#truth?.percentAt();
    if (truth === undefined) return;
    const progress = this.#feed?.snapshot.progress;
    if (progress) this.#model.percent = progress.percentAt();
    this.#snapshots.draw(truth);
    this.#model.draw(truth);
  }

  #controls(): HTMLElement {
    const { conditions } = this.#network;
    const sliders = [
      slider(
        "Delay",
        0,
        1000,
        10,
        "ms",
        () => conditions.delay,
        (value) => (conditions.delay = value),
      ),
      slider(
        "Jitter",
        0,
        1000,
        10,
        "ms",
        () => conditions.jitter,
        (value) => (conditions.jitter = value),
      ),
      slider(
        "Loss",
        0,
        50,
        1,
        "%",
        () => Math.round(conditions.loss * 100),
        (value) => (conditions.loss = value / 100),
      ),
    ];
    const offline = h("input", { type: "checkbox", role: "switch" });
    offline.addEventListener("change", () => (conditions.offline = offline.checked));
    const buttons = Object.entries(NETWORKS).map(([name, network]) => {
      const button = h("button", { type: "button", class: "choice", "aria-pressed": name === "Mobile" }, name);
      button.addEventListener("click", () => {
        Object.assign(conditions, network);
        for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
        for (const { refresh } of sliders) refresh();
        this.reset();
      });
      return button;
    });
    for (const { element } of sliders)
      element.addEventListener("input", () => {
        for (const each of buttons) each.setAttribute("aria-pressed", "false");
      });
    return h(
      "fieldset",
      { class: "network" },
      h("legend", {}, "Network"),
      h("div", { class: "choices" }, ...buttons, h("label", { class: "offline" }, offline, " Offline")),
      h("div", { class: "sliders" }, ...sliders.map(({ element }) => element)),
    );
  }
}

function slider(
  name: string,
  least: number,
  most: number,
  step: number,
  unit: string,
  get: () => number,
  set: (value: number) => void,
) {
  const input = h("input", {
    type: "range",
    min: String(least),
    max: String(most),
    step: String(step),
    value: String(get()),
  });
  const output = h("output", { class: "figure" });
  const refresh = () => {
    input.value = String(get());
    text(output, `${get()} ${unit}`);
  };
  input.addEventListener("input", () => (set(Number(input.value)), refresh()));
  refresh();
  return { element: h("label", { class: "slider" }, h("span", {}, name), input, output), refresh };
}
