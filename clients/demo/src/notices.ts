/** Notifications while the page is open, for a player who looks elsewhere. */

import { h, show, text } from "./dom.js";

export class Notices {
  readonly button = h("button", { type: "button", class: "quiet", onclick: () => void this.#ask() }, "Notify me");
  #said = h("p", { class: "visually-hidden", role: "status" });
  readonly element = h("div", {}, this.button, this.#said);

  constructor() {
    this.#update();
  }

  async #ask(): Promise<void> {
    await Notification.requestPermission();
    this.#update();
  }

  #update(): void {
    const asked = "Notification" in self ? Notification.permission : "denied";
    show(this.button, asked === "default");
    text(this.button, "Notify me");
  }

  /** Says it to screen readers, and, where the page is not looked at, as a notification. */
  async say(title: string, body: string): Promise<void> {
    text(this.#said, `${title}: ${body}`);
    if (!document.hidden || !("Notification" in self) || Notification.permission !== "granted") return;
    const options = { body, icon: "./icon-192.png", tag: title };
    const registration = await navigator.serviceWorker?.getRegistration();
    if (registration) await registration.showNotification(title, options);
    else new Notification(title, options);
  }
}
