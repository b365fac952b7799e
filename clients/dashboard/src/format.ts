/** Figures as text. */

const WHOLE = new Intl.NumberFormat("en");

export function number(value: number | undefined | null): string {
  if (value === undefined || value === null) return "–";
  if (Math.abs(value) >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (Math.abs(value) >= 1e5) return `${(value / 1e3).toFixed(0)} k`;
  return Number.isInteger(value) || Math.abs(value) >= 100 ? WHOLE.format(Math.round(value)) : value.toFixed(1);
}

export function milliseconds(value: number | undefined | null): string {
  if (value === undefined || value === null) return "–";
  return `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : WHOLE.format(Math.round(value))} ms`;
}

export function bytes(value: number | undefined | null): string {
  if (value === undefined || value === null) return "–";
  if (value >= 2 ** 30) return `${(value / 2 ** 30).toFixed(2)} GiB`;
  if (value >= 2 ** 20) return `${(value / 2 ** 20).toFixed(1)} MiB`;
  if (value >= 2 ** 10) return `${(value / 2 ** 10).toFixed(1)} KiB`;
  return `${Math.round(value)} B`;
}

export const percent = (value: number | undefined | null, digits = 0): string =>
  value === undefined || value === null ? "–" : `${value.toFixed(digits)} %`;

export function duration(seconds: number | undefined | null): string {
  if (seconds === undefined || seconds === null) return "–";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

export const time = (text: string): string =>
  new Date(text).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const moment = (text: string): string =>
  new Date(text).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** The first eight digits of a UUID, which identify it at a glance. */
export const short = (id: string): string => id.slice(0, 8);

const TRANSPORTS: Readonly<Record<string, string>> = { websocket: "WebSocket", sse: "event stream", udp: "UDP" };

export const transport = (name: string): string => TRANSPORTS[name] ?? name;

/** `insufficient_quantity` as words. */
export const words = (name: string): string => name.replaceAll("_", " ");
