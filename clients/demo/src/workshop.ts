/** What the page asks the simulated authority: names of recipes and materials, and a place at the front. */

export interface Described {
  readonly session_id: string;
  readonly recipe: string;
  readonly station_type: string;
  readonly materials: readonly { material_id: string; name: string; quantity: number; quality: number }[];
}

const REMEMBERED = 50; // crafts

export class Workshop {
  #crafts = new Map<string, Described>();
  #asking: Promise<void> | undefined;

  constructor(
    private readonly url: string,
    private readonly playerId: string,
    private readonly token: string,
    private readonly changed: () => void,
  ) {}

  /** What a session crafts; undefined until the authority has answered. */
  described(sessionId: string): Described | undefined {
    const known = this.#crafts.get(sessionId);
    if (!known) this.#asking ??= this.#ask().finally(() => setTimeout(() => (this.#asking = undefined), 2000));
    return known;
  }

  async #ask(): Promise<void> {
    const response = await this.#fetch("GET", "");
    if (!response.ok) return;
    const { crafts } = (await response.json()) as { crafts: Described[] };
    for (const craft of crafts) this.#crafts.set(craft.session_id, craft);
    for (const old of [...this.#crafts.keys()].slice(0, -REMEMBERED)) this.#crafts.delete(old);
    if (crafts.length) this.changed();
  }

  async jump(): Promise<boolean> {
    const response = await this.#fetch("POST", "/jump");
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return ((await response.json()) as { jumped: boolean }).jumped;
  }

  #fetch(method: string, path: string): Promise<Response> {
    return fetch(`${this.url}/demo/players/${this.playerId}${path}`, {
      method,
      headers: { Authorization: `Bearer ${this.token}` },
    });
  }
}
