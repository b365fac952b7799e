/** The session_token: a connection id (u32) and a secret (32 octets). */

export function parseToken(text) {
  const octets = Buffer.from(text, "base64url");
  if (octets.length !== 36) throw new Error("a session_token is 36 octets");
  return { connectionId: octets.readUInt32BE(), secret: octets.subarray(4) };
}

export function formatToken(connectionId, secret) {
  const id = Buffer.alloc(4);
  id.writeUInt32BE(connectionId);
  return Buffer.concat([id, secret]).toString("base64url");
}
