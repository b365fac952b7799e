/** Elements, and text in them that changes only when it is different. */

type Child = Node | string | null | undefined | false;

/** An element with properties, attributes (`aria-…`, `role`, `for`) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K,
  properties: Record<string, unknown> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") element.className = String(value);
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value as EventListener);
    else if (key in element && !key.includes("-")) (element as Record<string, unknown>)[key] = value;
    else element.setAttribute(key, String(value));
  }
  element.append(...(children.filter(Boolean) as (Node | string)[]));
  return element;
}

/** Sets an element's text, if it is another one. */
export function text(element: Element, value: string): void {
  if (element.textContent !== value) element.textContent = value;
}

export function show(element: HTMLElement, shown: boolean): void {
  if (element.hidden === shown) element.hidden = !shown;
}

/** 65 seconds are `1:05`. */
export function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const two = (value: number) => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** 12,345 bytes are `12.3 kB`. */
export const bytes = (count: number): string =>
  count < 1000
    ? `${Math.round(count)} B`
    : count < 1e6
      ? `${(count / 1e3).toFixed(1)} kB`
      : `${(count / 1e6).toFixed(1)} MB`;

/** `cyberware_station` is `Cyberware station`. */
export const words = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

/** A progress bar, drawn without layout in each frame. */
export class Bar {
  readonly element: HTMLElement;
  #fill = h("div", { class: "fill" });
  #shown = -1;
  #said = -1;

  constructor(label: string, ...more: Child[]) {
    this.element = h(
      "div",
      { class: "bar", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 },
      this.#fill,
      ...more,
    );
  }

  set(percent: number): void {
    if (percent === this.#shown) return;
    this.#shown = percent;
    this.#fill.style.transform = `scaleX(${percent / 100})`;
    const whole = Math.floor(percent);
    if (whole !== this.#said) this.element.setAttribute("aria-valuenow", String((this.#said = whole)));
  }
}
