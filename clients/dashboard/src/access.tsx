/** Signing in, and actions with a reason: what the page needs a token for. */

import { useEffect, useRef, useState } from "preact/hooks";

import { type Action, Problem } from "./parts";
import { withoutToken } from "./state";

/**
 * The token in the address, which is dropped from it at once. The page that the address names beside it stays:
 * `#/health&token=eyJ…` and `#token=eyJ…&/health` become `#/health`.
 */
export function tokenFromAddress(): string | undefined {
  const [page, token] = withoutToken(location.hash);
  if (token) history.replaceState(null, "", `${location.pathname}${location.search}${page}`);
  return token;
}

export function SignIn({ problem, enter }: { problem: string | undefined; enter: (token: string) => void }) {
  const [token, type] = useState("");
  return (
    <main class="sign-in">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (token.trim()) enter(token.trim());
        }}
      >
        <h1>craftnet dashboard</h1>
        <p>
          Paste a token with the scope <code>crafting:admin</code>. In development, <code>make run</code> prints a link
          that has one. The page keeps the token in memory only, and forgets it when you close or reload the page.
        </p>
        <label>
          Token
          <textarea
            rows={5}
            autofocus
            autocomplete="off"
            spellcheck={false}
            value={token}
            onInput={({ currentTarget }) => type(currentTarget.value)}
          />
        </label>
        <Problem>{problem}</Problem>
        <button type="submit" class="primary" disabled={!token.trim()}>
          Sign in
        </button>
      </form>
    </main>
  );
}

/** Asks the admin API with a token. */
export class Api {
  constructor(
    private readonly base: string,
    private readonly token: string,
  ) {}

  /** The answer to a GET, or to a POST where there is a body; throws an Error that says why it was refused. */
  readonly ask = async (path: string, body?: object): Promise<unknown> => {
    const response = await fetch(new URL(path, this.base), {
      method: body ? "POST" : "GET",
      headers: { Authorization: `Bearer ${this.token}`, ...(body ? { "Content-Type": "application/json" } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    }).catch(() => {
      throw new Error("The server is out of reach.");
    });
    const answer: unknown = await response.json().catch(() => undefined);
    if (response.ok) return answer;
    throw new Error((answer as { message?: string } | undefined)?.message ?? `The server answers ${response.status}.`);
  };
}

/** Asks for a reason before an action, and shows what became of it. */
export function Confirmation({ action, api, close }: { action: Action; api: Api; close: (done: string) => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [reason, type] = useState("");
  const [busy, work] = useState(false);
  const [problem, fail] = useState<string>();
  useEffect(() => dialog.current?.showModal(), []);
  const carryOut = async (): Promise<void> => {
    work(true);
    fail(undefined);
    try {
      const result = (await api.ask(action.path, { ...action.body, reason })) as { action: string; affected: number };
      close(`${action.title}: done, ${result.affected} connection${result.affected === 1 ? "" : "s"} affected.`);
    } catch (error) {
      fail(error instanceof Error ? error.message : String(error));
      work(false);
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby="action-title" onClose={() => close("")}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (reason.trim() && !busy) void carryOut();
        }}
      >
        <h2 id="action-title">{action.title}</h2>
        <p>{action.explanation}</p>
        <label>
          Reason, for the audit log
          <input
            value={reason}
            maxLength={200}
            required
            autofocus
            onInput={({ currentTarget }) => type(currentTarget.value)}
          />
        </label>
        <Problem>{problem}</Problem>
        <p class="buttons">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class="danger" disabled={!reason.trim() || busy}>
            {busy ? "Working …" : "Do it"}
          </button>
        </p>
      </form>
    </dialog>
  );
}
