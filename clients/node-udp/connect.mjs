/** HTTP said no; `status` is its code and `retryAfter` seconds, or null. */
export class ConnectFailed extends Error {
  constructor(status, message, retryAfter) {
    super(`${status}: ${message}`);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** POST …/connect: the server's answer. `more` has optional fields of the request. Throws ConnectFailed. */
export async function connect(url, sessionId, playerId, bearer, more = {}) {
  const response = await fetch(new URL(`/udp/sessions/${sessionId}/connect`, url), {
    method: "POST",
    // Kept open, it would lead back to a server that is about to stop.
    headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json", connection: "close" },
    body: JSON.stringify({ player_id: playerId, client_version: "1.0.0", ...more }),
  });
  const answer = await response.json();
  if (response.ok) return answer;
  const retryAfter = Number(response.headers.get("retry-after")) || null;
  throw new ConnectFailed(response.status, answer.message, retryAfter);
}
