/** A player's places in queues, with the option to jump one. */

import type { QueuePlace } from "@craftnet/client";

import { clock, h, show, text, words } from "./dom.js";

const ordinal = (position: number): string =>
  position === 1
    ? "Next in line"
    : `${position}${["th", "st", "nd", "rd"][position % 100 > 10 && position % 100 < 14 ? 0 : position % 10] ?? "th"} in line`;

export class QueueCard {
  readonly element: HTMLElement;
  #list = h("ul", { class: "queues" });
  #none = h("p", { class: "muted" }, "You wait for no station.");
  #answer = h("p", { class: "muted", role: "status" });

  /** `jump` asks the authority; it answers whether the player moved forward. */
  constructor(private readonly jump: () => Promise<boolean>) {
    this.element = h(
      "section",
      { class: "card queue", "aria-label": "Queue" },
      h("h2", {}, "Queue"),
      this.#none,
      this.#list,
      this.#answer,
    );
  }

  show(places: readonly QueuePlace[]): void {
    show(this.#none, !places.length);
    show(this.#list, !!places.length);
    this.#list.replaceChildren(...places.map((place) => this.#row(place)));
    if (!places.length) text(this.#answer, "");
  }

  #row({
    stationType,
    queuePosition,
    totalInQueue,
    estimatedWaitSeconds,
    canJumpQueue,
    jumpQueueCost,
  }: QueuePlace): HTMLElement {
    const wait = estimatedWaitSeconds === undefined ? "" : `about ${clock(estimatedWaitSeconds)} to wait`;
    const total = totalInQueue === undefined ? "" : `${totalInQueue} waiting`;
    const price = jumpQueueCost === undefined ? "" : ` for ${jumpQueueCost} credits`;
    const button = h("button", { type: "button" }, `Move to the front${price}`);
    button.addEventListener("click", async () => {
      button.disabled = true;
      const jumped = await this.jump().catch(() => null);
      text(
        this.#answer,
        jumped === null
          ? "The workshop did not answer. Try again."
          : jumped
            ? "Moved to the front."
            : "You are already in front.",
      );
      button.disabled = false;
    });
    return h(
      "li",
      {},
      h("p", { class: "place" }, h("strong", {}, ordinal(queuePosition))),
      h("p", { class: "muted" }, [stationType && words(stationType), total, wait].filter(Boolean).join(" · ")),
      (canJumpQueue ?? queuePosition > 1) && queuePosition > 1 && button,
    );
  }
}
