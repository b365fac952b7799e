const [SECONDS, DATAGRAMS] = [600, 2 ** 20];

/** When our direction goes on to its next keys. */
export class Rotation {
  constructor(sealer) {
    this.sealer = sealer;
    this.since = null;
  }

  /** Before a HEARTBEAT is sealed at `now`; `acknowledged` is the newest sequence of ours that arrived. */
  beforeHeartbeat(now, acknowledged) {
    this.since ??= now;
    const due = now - this.since >= SECONDS || this.sealer.sealed >= DATAGRAMS;
    if (!due || acknowledged <= this.sealer.rotatedAt) return;
    this.sealer.rotate();
    this.since = now;
  }
}
