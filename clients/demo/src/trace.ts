/** The error of the last seconds as a line. */

import { h } from "./dom.js";

const SECONDS = 30;
const TOP = 1; // points at the upper edge; greater errors touch it
const PER_SECOND = 10;

export class Trace {
  readonly element: HTMLElement;
  #canvas = h("canvas", { "aria-hidden": "true" });
  #values: number[] = [];
  #next = 0;

  constructor() {
    const caption = h("figcaption", { class: "muted" }, `Error, last ${SECONDS} s, 0 to ${TOP} point`);
    this.element = h("figure", { class: "trace" }, this.#canvas, caption);
  }

  clear(): void {
    this.#values = [];
    this.#draw();
  }

  add(error: number): void {
    const now = performance.now();
    if (now < this.#next) return;
    this.#next = now + 1000 / PER_SECOND;
    this.#values = [...this.#values.slice(1 - SECONDS * PER_SECOND), error];
    this.#draw();
  }

  #draw(): void {
    const canvas = this.#canvas;
    const scale = devicePixelRatio;
    const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    if (!context || !width) return;
    const style = getComputedStyle(canvas);
    context.clearRect(0, 0, width, height);
    context.lineWidth = 1.5 * scale;
    context.lineJoin = "round";
    const step = width / (SECONDS * PER_SECOND - 1);
    const y = (error: number) => height - scale - Math.min(error / TOP, 1) * (height - 2 * scale);
    const start = width - step * (this.#values.length - 1);
    context.beginPath();
    this.#values.forEach((error, at) => context.lineTo(start + at * step, y(error)));
    context.strokeStyle = style.color;
    context.stroke();
    if (!this.#values.length) return;
    context.lineTo(width, height);
    context.lineTo(start, height);
    context.globalAlpha = 0.15;
    context.fillStyle = style.color;
    context.fill();
    context.globalAlpha = 1;
  }
}
