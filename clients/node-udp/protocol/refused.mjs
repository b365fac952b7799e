/** What came in is not to be believed; `outcome` says why, in the words of PROTOCOL.md. */
export class Refused extends Error {
  constructor(outcome) {
    super(outcome);
    this.outcome = outcome;
  }
}

/** Throws Refused with this outcome unless `holds`. */
export function demand(holds, outcome) {
  if (!holds) throw new Refused(outcome);
}
