/** The dashboard: its frame, and which page is shown. */

import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";

import "./style.css";

import { Api, Confirmation, SignIn, tokenFromAddress } from "./access";
import { AdminFeed } from "./feed";
import { moment } from "./format";
import { NodePage } from "./nodes";
import { OverviewPage } from "./overview";
import { ConfigurationPage, HealthPage, PlayerPage, QueuesPage, SecurityPage, SlowConsumersPage } from "./pages";
import { type Action, Badge, Pending, Problem, type Tone } from "./parts";
import { SessionPage, SessionsPage } from "./sessions";
import { freshness, type State, withoutToken } from "./state";

/** The server's base path: the page is at /dashboard or /dashboard/ below it. */
const BASE = new URL(location.pathname.replace(/dashboard\/?$/, ""), location.origin).href;

const PAGES = [
  ["", "Overview"],
  ["sessions", "Sessions"],
  ["queues", "Queues"],
  ["slow", "Slow consumers"],
  ["security", "Security"],
  ["health", "Health"],
  ["configuration", "Configuration"],
] as const;

/** Pages that are reached from others, by the name of the page that stands for them in the list. */
const PARENTS: Readonly<Record<string, string>> = { players: "sessions", nodes: "" };

const titleOf = (page: string): string => PAGES.find(([name]) => name === (PARENTS[page] ?? page))?.[1] ?? "Dashboard";

/** A part of the address as it was before it was encoded. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // typed by hand
  }
}

/** Draws again when the route changes. */
function useRoute(): readonly string[] {
  const read = () => withoutToken(location.hash)[0].replace(/^#\/?/, "").split("/").filter(Boolean).map(decoded);
  const [route, become] = useState(read);
  useEffect(() => {
    const changed = () => {
      become(read());
      scrollTo(0, 0);
    };
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}

/** The feed's state, and the time once a second. */
function useFeed(feed: AdminFeed): [State, number] {
  const [state, become] = useState(feed.state);
  const [now, tick] = useState(Date.now());
  useEffect(() => {
    const stop = feed.onChange(() => become(feed.state));
    const timer = setInterval(() => tick(Date.now()), 1000);
    become(feed.state);
    return () => {
      stop();
      clearInterval(timer);
    };
  }, [feed]);
  return [state, now];
}

function ConnectionState({ state, now }: { state: State; now: number }) {
  const { connection } = state;
  const fresh = freshness(state, now);
  const age = state.heard === undefined ? "" : `${Math.round((now - state.heard) / 1000)} s old`;
  const shown: [Tone, string] =
    connection.phase === "waiting"
      ? ["warn", `Disconnected, next attempt in ${Math.max(0, Math.ceil((connection.until - now) / 1000))} s`]
      : connection.phase === "ended"
        ? ["bad", "Ended"]
        : fresh === "live"
          ? ["good", "Live"]
          : fresh === "stale"
            ? ["warn", `Stale, ${age}`]
            : ["idle", "Connecting"];
  return (
    <span role="status">
      <Badge tone={shown[0]}>{shown[1]}</Badge>
    </span>
  );
}

type Theme = "auto" | "light" | "dark";

function ThemeSwitch() {
  const [theme, choose] = useState<Theme>("auto");
  useEffect(() => {
    if (theme === "auto") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
    dispatchEvent(new Event("craftnet-theme"));
  }, [theme]);
  return (
    <label class="theme">
      <span class="hidden">Colours</span>
      <select value={theme} onChange={({ currentTarget }) => choose(currentTarget.value as Theme)}>
        <option value="auto">System colours</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </label>
  );
}

function Dashboard({ token, leave }: { token: string; leave: (problem?: string) => void }) {
  const feed = useMemo(() => new AdminFeed(BASE, token), [token]);
  const api = useMemo(() => new Api(BASE, token), [token]);
  const [state, now] = useFeed(feed);
  const [page = "", id = ""] = useRoute();
  const [action, confirm] = useState<Action>();
  const [done, say] = useState("");
  useEffect(() => () => feed.close(), [feed]);
  useEffect(() => {
    document.title = `${id || titleOf(page)} – craftnet`;
  }, [page, id]);
  const { connection, info } = state;
  const act = info?.may_operate ? confirm : undefined;
  const props = { feed, state, act };
  const fresh = freshness(state, now);
  const refused = connection.phase === "ended" && !state.overview ? connection.reason : undefined;
  useEffect(() => {
    if (refused) leave(refused);
  }, [refused]);
  return (
    <>
      <a
        class="skip"
        href="#content"
        onClick={(event) => (event.preventDefault(), document.getElementById("content")?.focus())}
      >
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href="#/">
          craftnet
        </a>
        <span class="window">{info ? `${info.version} · ${info.node}` : ""}</span>
        <ConnectionState state={state} now={now} />
        <span class="space" />
        {info && (
          <span class="window">{info.may_operate ? "operator" : info.mode === "on" ? "observer" : "read-only"}</span>
        )}
        <ThemeSwitch />
        <button type="button" class="quiet" onClick={() => leave()}>
          Sign out
        </button>
      </header>
      <nav class="pages" aria-label="Pages">
        {PAGES.map(([name, title]) => (
          <a key={name} href={`#/${name}`} aria-current={name === (PARENTS[page] ?? page) ? "page" : undefined}>
            {title}
          </a>
        ))}
      </nav>
      <main id="content" tabIndex={-1} class={fresh}>
        <Problem>{connection.phase === "ended" ? connection.reason : undefined}</Problem>
        {done && (
          <p class="done" role="status">
            {done}{" "}
            <button type="button" class="quiet" onClick={() => say("")}>
              Dismiss
            </button>
          </p>
        )}
        {page === "" ? (
          <OverviewPage state={state} act={act} />
        ) : page === "nodes" && id ? (
          <NodePage id={id} state={state} act={act} />
        ) : page === "sessions" && id ? (
          <SessionPage key={id} id={id} {...props} />
        ) : page === "sessions" ? (
          <SessionsPage {...props} />
        ) : page === "players" && id ? (
          <PlayerPage key={id} id={id} {...props} />
        ) : page === "queues" ? (
          <QueuesPage {...props} />
        ) : page === "slow" ? (
          <SlowConsumersPage {...props} />
        ) : page === "security" ? (
          <SecurityPage {...props} />
        ) : page === "health" ? (
          <HealthPage {...props} />
        ) : page === "configuration" ? (
          <ConfigurationPage ask={api.ask} />
        ) : (
          <Pending error="There is no such page." />
        )}
      </main>
      <footer class="window">{state.overview ? `As of ${moment(state.overview.timestamp)}` : ""}</footer>
      {action && (
        <Confirmation
          action={action}
          api={api}
          close={(text) => {
            confirm(undefined);
            if (text) say(text);
          }}
        />
      )}
    </>
  );
}

function App() {
  const [token, enter] = useState(tokenFromAddress);
  const [problem, fail] = useState<string>();
  useEffect(() => {
    // A link with a token that is followed while the page is open changes only the fragment.
    const changed = () => {
      const given = tokenFromAddress();
      if (given) enter(given);
    };
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  if (token === undefined) return <SignIn problem={problem} enter={(given) => (fail(undefined), enter(given))} />;
  return (
    <Dashboard
      token={token}
      leave={(why) => {
        fail(why);
        enter(undefined);
      }}
    />
  );
}

render(<App />, document.getElementById("app")!);
