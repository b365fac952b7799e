import type { Agreement } from "./client.js";

/** Why …/connect failed. */
export class ConnectError extends Error {
  override name = "ConnectError";

  constructor(
    /** The HTTP status. */
    readonly status: number,
    readonly reason: string,
    /** Seconds that the server asks to wait; undefined when it does not. */
    readonly retryAfter: number | undefined,
  ) {
    super(`${status}: ${reason}`);
  }
}

/** What …/connect is asked for besides: PROTOCOL.md, "What …/connect answers". */
export interface ConnectOptions {
  supported_compression?: readonly string[];
  max_packet_size?: number;
  /** That of an open connection, to hear of the session over it, too. */
  session_token?: string | undefined;
  /** Region of the UDP endpoint, such as "us-east"; the answer's `region` says which one it is in. */
  preferred_region?: string | undefined;
  /** Whether progress shall be the expected one, where the server has learned how long crafts take. */
  expected?: boolean | undefined;
}

export interface Watched {
  /** The server's, without a slash at the end. */
  readonly url: string;
  readonly sessionId: string;
  readonly playerId: string;
  readonly bearer: string;
}

/** POST …/connect. Throws ConnectError; what `fetch` throws when the server is out of reach. */
export async function connect(
  { url, sessionId, playerId, bearer }: Watched,
  options: ConnectOptions = {},
  get: typeof fetch = fetch,
): Promise<Agreement> {
  const response = await get(`${url}/udp/sessions/${sessionId}/connect`, {
    method: "POST",
    // Kept open, it would lead back to a server that is about to stop.
    headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json", connection: "close" },
    body: JSON.stringify({ player_id: playerId, client_version: "1.0.0", ...options }),
  });
  const answer = await response.json().catch(() => ({ message: "no JSON" }));
  if (response.ok) return answer;
  throw new ConnectError(response.status, answer.message, Number(response.headers.get("retry-after")) || undefined);
}
