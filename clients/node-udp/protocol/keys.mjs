import { createHmac, hkdfSync } from "node:crypto";

const LABEL = "craftnet udp 1 ";

function derive(material, salt, purpose, length) {
  return Buffer.from(hkdfSync("sha256", material, salt, LABEL + purpose, length));
}

/** The key of the handshake's MACs. */
export function handshakeKey(secret) {
  return derive(secret, "", "handshake", 32);
}

/** The first 16 octets of HMAC-SHA256. */
export function mac(key, octets) {
  return createHmac("sha256", key).update(octets).digest().subarray(0, 16);
}

/** The keys of one direction ("client" or "server" sends) in one generation; `following()` are those of the next. */
export class Generation {
  static first(secret, clientNonce, serverNonce, sender) {
    return new Generation(0, sender, derive(secret, Buffer.concat([clientNonce, serverNonce]), sender, 60));
  }

  constructor(number, sender, octets) {
    this.number = number;
    this.sender = sender;
    this.key = octets.subarray(0, 16);
    this.iv = octets.subarray(16, 28);
    this.next = octets.subarray(28, 60);
  }

  get phase() {
    return this.number & 1;
  }

  following() {
    return new Generation(this.number + 1, this.sender, derive(this.next, "", this.sender, 60));
  }
}
