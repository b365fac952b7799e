/** What a player crafts now, or how the last craft ended. */

import type { CraftSnapshot, Material, Progress } from "@craftnet/client";

import { Bar, clock, h, show, text, words } from "./dom.js";
import type { Described } from "./workshop.js";

const STATES = {
  active: ["▶", "Crafting"],
  paused: ["Ⅱ", "Paused"],
  interrupted: ["◆", "Interrupted"],
  completed: ["✓", "Complete"],
  failed: ["✕", "Failed"],
} as const;

const PROBLEMS: Record<string, string> = {
  insufficient_quantity: "not enough",
  quality_too_low: "quality too low",
  material_unavailable: "unavailable",
};

export class CraftCard {
  readonly element: HTMLElement;
  #title = h("h2", {}, "No craft yet");
  #station = h("p", { class: "muted" });
  #shape = h("span", { class: "shape", "aria-hidden": "true" });
  #word = h("span");
  #chip = h("p", { class: "chip", role: "status" }, this.#shape, this.#word);
  #bar = new Bar("Progress of the craft");
  #percent = h("span", { class: "figure" });
  #left = h("span", { class: "figure" });
  #quality = h("p", { class: "quality" });
  #materials = h("ul", { class: "materials" });
  #listTitle = h("h3", {}, "Materials");
  #live = h("div", {});
  #rest = h("p", { class: "muted" });
  #progress: Progress | null = null;
  #drawn = "";

  constructor() {
    const numbers = h(
      "div",
      { class: "numbers" },
      h("p", {}, this.#percent, h("small", {}, "done")),
      h("p", { class: "right" }, this.#left, h("small", {}, "left")),
    );
    this.#live.append(numbers, this.#bar.element, this.#quality, this.#listTitle, this.#materials);
    this.element = h(
      "section",
      { class: "card craft", "aria-label": "Craft" },
      h("header", {}, h("div", {}, this.#title, this.#station), this.#chip),
      this.#live,
      this.#rest,
    );
    this.show(null, undefined);
  }

  /** Shows a craft; null where there is none. The last state of one that has ended stays until the next. */
  show(craft: CraftSnapshot | null, described: Described | undefined, waits = false): void {
    this.#progress = craft?.progress ?? null;
    const { status } = this.#progress ?? {};
    const over = status === "completed" || status === "failed";
    this.element.dataset["status"] = status ?? "none";
    const [shape, word] = status ? STATES[status] : ["○", waits ? "Waiting" : "Resting"];
    text(this.#shape, shape);
    text(this.#word, word);
    text(this.#title, described?.recipe ?? (craft ? "A craft" : "No craft now"));
    text(this.#station, described ? words(described.station_type) : "");
    show(this.#live, !!craft);
    show(this.#rest, !craft || over);
    text(this.#rest, waits ? "It begins here once a station is free." : "The next craft appears here by itself.");
    if (craft) this.#fill(craft, described, over);
    this.draw();
  }

  #fill({ progress, materials }: CraftSnapshot, described: Described | undefined, over: boolean): void {
    const { quality, targetQuality, failureReason } = progress ?? {};
    const parts = [quality != null && `Quality ${quality}${targetQuality ? ` of ${targetQuality}` : ""}`];
    if (failureReason) parts.push(words(failureReason));
    text(this.#quality, parts.filter(Boolean).join(" · "));
    const rows = this.#rows(materials, described);
    show(this.#listTitle, rows.length > 0 && !over);
    show(this.#materials, rows.length > 0 && !over);
    const drawn = JSON.stringify(rows);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#materials.replaceChildren(
      ...rows.map(({ name, amount, problem }) =>
        h(
          "li",
          { class: problem ? "short" : "" },
          h("span", {}, name),
          h("span", { class: "amount" }, amount),
          problem && h("span", { class: "problem" }, h("span", { "aria-hidden": "true" }, "▲ "), problem),
        ),
      ),
    );
  }

  /** Those of the recipe, and others that the feed has. */
  #rows(materials: readonly Material[], described: Described | undefined) {
    const held = new Map(materials.map((material) => [material.id, material]));
    const known = described?.materials ?? [];
    const others = materials.filter(({ id }) => !known.some(({ material_id }) => material_id === id));
    const row = (name: string, material: Material | undefined, needed?: number) => {
      const { problem = null, quantity = null } = material ?? {};
      const left = quantity === null ? "" : needed === undefined ? `${quantity}` : `${quantity} of ${needed} left`;
      return {
        name: words(name),
        amount: left || (needed ? `${needed} needed` : ""),
        problem: problem && said(problem),
      };
    };
    return [
      ...known.map(({ material_id, name, quantity }) => row(name, held.get(material_id), quantity)),
      ...others.map((material) => row(`material ${material.id.slice(0, 8)}`, material)),
    ];
  }

  /** Called in each frame. */
  draw(): void {
    const progress = this.#progress;
    if (!progress) return;
    const percent = progress.percentAt();
    this.#bar.set(percent);
    text(this.#percent, `${percent.toFixed(1)} %`);
    const left = progress.remainingAt();
    text(this.#left, left === null ? "–" : clock(left));
  }
}

function said({
  type,
  requiredQuantity,
  availableQuantity,
  requiredQuality,
  availableQuality,
}: NonNullable<Material["problem"]>): string {
  const word = PROBLEMS[type] ?? words(type);
  if (requiredQuantity !== undefined) return `${word}: ${availableQuantity ?? 0} of ${requiredQuantity}`;
  if (requiredQuality !== undefined) return `${word}: ${availableQuality ?? 0}, needs ${requiredQuality}`;
  return word;
}
