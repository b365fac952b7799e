/** Feeds as server-sent events, read with fetch: an EventSource cannot send a bearer token. */

import { codeOfStatus, LOST, type Ending } from "../core/endings.js";
import { route, type Listener, type Request } from "./transport.js";

/** An event, by its name (`message` unless it says), or a `retry` field. */
export interface Found {
  readonly name: string;
  readonly value: string;
}

/** Reads an event stream (HTML Living Standard, section 9.2.6) from text in pieces of any length. Pure. */
export class EventStream {
  #rest = "";
  #data: string[] = [];
  #event = "";

  /** What this piece completes. */
  push(piece: string): Found[] {
    const found: Found[] = [];
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop()!;
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length) found.push({ name: this.#event || "message", value: this.#data.join("\n") });
        [this.#data, this.#event] = [[], ""];
        continue;
      }
      const [, name = "", value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)!;
      if (name === "data") this.#data.push(value);
      else if (name === "event") this.#event = value;
      else if (name === "retry") found.push({ name, value });
    }
    return found;
  }
}

/** Reads one stream until it ends or `signal` aborts it. */
export async function watch(request: Request, listener: Listener, signal: AbortSignal): Promise<void> {
  let retry: number | undefined;
  let reason = "";
  let code = LOST;
  try {
    const headers = { Accept: "text/event-stream", Authorization: `Bearer ${request.token}` };
    const response = await request.fetch(request.url + route(request, "sse"), { headers, signal, cache: "no-store" });
    if (!response.ok || !response.body) return listener.ended(await refusal(response));
    const reader = response.body.getReader();
    const [decoder, stream] = [new TextDecoder(), new EventStream()];
    for (let read = await reader.read(); !read.done && !signal.aborted; read = await reader.read()) {
      listener.alive();
      for (const { name, value } of stream.push(decoder.decode(read.value, { stream: true }))) {
        if (name === "retry") retry = Number(value) || undefined;
        else if (name === "message") listener.arrived(value);
        else if (name === "close") ({ code, reason } = JSON.parse(value));
      }
    }
    if (retry !== undefined && code === LOST) code = 1001;
  } catch (error) {
    reason = String(error);
  }
  if (!signal.aborted) listener.ended({ code, reason, retryAfter: retry });
}

async function refusal(response: Response): Promise<Ending> {
  const seconds = Number(response.headers.get("Retry-After"));
  const reason = await response.json().then(
    (body) => String(body.message),
    () => `the server answered ${response.status}`,
  );
  // A server without these routes is not one without the session.
  const unsupported = response.status === 404 && reason.includes("route");
  const code = unsupported ? LOST : codeOfStatus(response.status);
  return { code, reason, unsupported, retryAfter: seconds ? seconds * 1000 : undefined };
}
