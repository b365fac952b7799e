/** The pages of sessions: a list with a search, and one session with its watchers and live trace. */

import { useEffect, useMemo, useState } from "preact/hooks";

import type { AdminFeed } from "./feed";
import { bytes, moment, number, time, transport, words } from "./format";
import type { ConnectionRow, MaterialRow, SessionRow, TraceEntry, ViewName, ViewRequest, Views } from "./messages";
import {
  type Act,
  Badge,
  ConnectionTable,
  Empty,
  Fact,
  Pending,
  PlayerLink,
  Progress,
  QueueTable,
  Section,
  SessionLink,
  StatusBadge,
  Table,
} from "./parts";
import { dataOf, type State, type Trace } from "./state";

export interface PageProps {
  readonly feed: AdminFeed;
  readonly state: State;
  readonly act: Act | undefined;
}

/** The data of a view that is watched while its page is open. */
export function useView<Name extends ViewName>(
  { feed, state }: PageProps,
  request: ViewRequest & { view: Name },
): { data: Views[Name] | undefined; error: string | undefined } {
  const key = JSON.stringify(request);
  const [id, become] = useState("");
  useEffect(() => {
    const opened = feed.watch(JSON.parse(key) as ViewRequest);
    become(opened);
    return () => feed.drop(opened);
  }, [feed, key]);
  const view = state.views[id];
  return { data: dataOf(view, request.view), error: view?.error };
}

export function SessionTable({ rows, ahead }: { rows: readonly SessionRow[]; ahead: number }) {
  return (
    <Table label="Sessions" head={["Session", "State", "Progress", "Player", "Recipe", "Changes"]}>
      {rows.map((row) => (
        <tr key={row.session_id}>
          <td>
            <SessionLink id={row.session_id} />
          </td>
          <td>
            <StatusBadge status={row.progress.status} />
          </td>
          <td>
            <Progress progress={row.progress} ahead={ahead} />
          </td>
          <td>
            <PlayerLink id={row.player_id} />
          </td>
          <td class="id" title={row.recipe_id ?? ""}>
            {row.recipe_id?.slice(0, 8) ?? "–"}
          </td>
          <td class="figure">{row.changes}</td>
        </tr>
      ))}
    </Table>
  );
}

/** Buttons for the next page of a view and for the first. */
export function Pager({ next, first, go }: { next: string | undefined; first: boolean; go: (cursor: string) => void }) {
  if (first && !next) return null;
  return (
    <nav class="pager" aria-label="More rows">
      <button type="button" class="quiet" disabled={first} onClick={() => go("")}>
        First page
      </button>
      <button type="button" class="quiet" disabled={!next} onClick={() => next && go(next)}>
        Next page
      </button>
    </nav>
  );
}

const SEARCHABLE = /^[0-9a-f-]{4,36}$/i;

export function SessionsPage(props: PageProps) {
  const [typed, type] = useState("");
  const [search, look] = useState("");
  const [cursor, go] = useState("");
  const { data, error } = useView(props, {
    view: "sessions",
    limit: 25,
    ...(search ? { search } : {}),
    ...(cursor ? { cursor } : {}),
  });
  const unusable = typed !== "" && !SEARCHABLE.test(typed);
  useEffect(() => {
    if (unusable) return;
    const timer = setTimeout(() => {
      look(typed);
      go("");
    }, 250);
    return () => clearTimeout(timer);
  }, [typed, unusable]);
  return (
    <>
      <h1>Sessions</h1>
      <form class="search" role="search" onSubmit={(event) => event.preventDefault()}>
        <label>
          Session, player or recipe
          <input
            type="search"
            value={typed}
            placeholder="the id, or its first 4 digits or more"
            aria-invalid={unusable}
            onInput={({ currentTarget }) => type(currentTarget.value.trim())}
          />
        </label>
        {unusable && <p class="note">An id has hexadecimal digits: at least the first four.</p>}
      </form>
      {!data ? (
        <Pending error={error} />
      ) : (
        <>
          {data.sessions.length === 0 ? (
            <Empty>{search ? `No session here matches ${search}.` : "There are no sessions now."}</Empty>
          ) : (
            <SessionTable rows={data.sessions} ahead={props.state.ahead} />
          )}
          <Pager next={data.next} first={cursor === ""} go={go} />
        </>
      )}
    </>
  );
}

export function SessionPage(props: PageProps & { id: string }) {
  const { data, error } = useView(props, { view: "session", session_id: props.id });
  const [tracing, trace] = useState(false);
  if (!data) return <Pending error={error} />;
  const { session, materials, queue, watchers, history, position } = data;
  const { progress } = session;
  return (
    <>
      <h1>
        Session <span class="id">{session.session_id}</span>
      </h1>
      <div class="model">
        <StatusBadge status={progress.status} />
        <Progress progress={progress} ahead={props.state.ahead} />
      </div>
      <dl>
        <Fact name="Player">
          <PlayerLink id={session.player_id} />
        </Fact>
        <Fact name="Recipe" wide>
          <span class="id">{session.recipe_id ?? "–"}</span>
        </Fact>
        <Fact name="Quality">
          {progress.quality ?? "–"}
          {progress.target_quality ? ` of ${progress.target_quality}` : ""}
        </Fact>
        <Fact name="Changes">{number(session.changes)}</Fact>
        <Fact name="Position" wide>
          {position ? <span class="id">{position}</span> : "none, without a watcher"}
        </Fact>
        {progress.failure_reason && <Fact name="Failed because of">{words(progress.failure_reason)}</Fact>}
      </dl>
      <Section title="Materials">
        {materials.length ? <Materials rows={materials} /> : <Empty>The materials of this session are unknown.</Empty>}
      </Section>
      {queue.length > 0 && (
        <Section title="Places in queues">
          <QueueTable rows={queue} />
        </Section>
      )}
      <Section title="Watchers">
        {watchers.length ? (
          <ConnectionTable rows={watchers} act={props.act} />
        ) : (
          <Empty>This session has no watchers.</Empty>
        )}
      </Section>
      <Section
        title="Live trace"
        aside={
          <button type="button" aria-pressed={tracing} onClick={() => trace(!tracing)}>
            {tracing ? "Stop" : "Trace"}
          </button>
        }
      >
        {tracing ? (
          <LiveTrace {...props} watchers={watchers} />
        ) : (
          <Empty>Shows each event that arrives, and each frame or datagram that is sent.</Empty>
        )}
      </Section>
      <Section title="History">
        {history.length ? (
          <ol class="history">
            {[...history].reverse().map((entry, index) => (
              <li key={`${entry.timestamp} ${index}`}>
                <time dateTime={entry.timestamp}>{time(entry.timestamp)}</time> <span class="kind">{entry.kind}</span>{" "}
                {entry.text}
              </li>
            ))}
          </ol>
        ) : (
          <Empty>No recent events.</Empty>
        )}
      </Section>
    </>
  );
}

function Materials({ rows }: { rows: readonly MaterialRow[] }) {
  return (
    <Table label="Materials" head={["Material", "Quantity", "Quality", "State"]}>
      {rows.map(({ material_id, quantity, quality, problem }) => (
        <tr key={material_id}>
          <td class="id" title={material_id}>
            {material_id.slice(0, 8)}
          </td>
          <td class="figure">
            {quantity}
            {problem?.required_quantity ? ` of ${problem.required_quantity}` : ""}
          </td>
          <td class="figure">{quality ?? "–"}</td>
          <td>
            {problem ? (
              <Badge tone="warn">{words(problem.notification_type)}</Badge>
            ) : (
              <Badge tone="good">enough</Badge>
            )}
          </td>
        </tr>
      ))}
    </Table>
  );
}

/** Events that arrive, beside what each transport sends. */
function LiveTrace({ feed, state, id, watchers }: PageProps & { id: string; watchers: readonly ConnectionRow[] }) {
  const [trace, become] = useState("");
  useEffect(() => {
    const opened = feed.trace(id);
    become(opened);
    return () => feed.drop(opened);
  }, [feed, id]);
  const current = state.traces[trace];
  const transports = useMemo(() => {
    const known = new Set(watchers.map((row) => row.transport));
    for (const entry of current?.entries ?? []) if (entry.transport) known.add(entry.transport);
    return [...known].sort();
  }, [watchers, current]);
  if (!current || current.error) return <Pending error={current?.error} />;
  return (
    <>
      {current.dropped > 0 && (
        <p class="note">{number(current.dropped)} entries were left out because there were too many.</p>
      )}
      <div class="trace">
        <Lane title="Events in" trace={current} of={(entry) => entry.direction === "in"} />
        {transports.map((name) => (
          <Lane
            key={name}
            title={`Out: ${transport(name)}`}
            trace={current}
            of={(entry) => entry.direction === "out" && entry.transport === name}
          />
        ))}
      </div>
    </>
  );
}

function Lane({ title, trace, of }: { title: string; trace: Trace; of: (entry: TraceEntry) => boolean }) {
  const entries = trace.entries.filter(of);
  const size = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  return (
    <div class="lane">
      <h3>
        {title}{" "}
        <span class="window">
          {number(entries.length)}, {bytes(size)}
        </span>
      </h3>
      <ol>
        {entries
          .slice(-60)
          .reverse()
          .map((entry, index) => (
            <li key={`${entry.timestamp} ${entries.length - index}`}>
              <details>
                <summary>
                  <time dateTime={entry.timestamp}>{time(entry.timestamp)}</time> {entry.name}{" "}
                  <span class="window">
                    {entry.outcome ?? `${number(entry.bytes)} B`}
                    {entry.waits ? ", waits" : ""}
                  </span>
                </summary>
                <p class="window">
                  {moment(entry.timestamp)} · {entry.kind} {entry.encoding ?? ""} {entry.connection ?? entry.node}
                </p>
                <pre>{JSON.stringify(entry.content ?? null, null, 2)}</pre>
              </details>
            </li>
          ))}
      </ol>
      {entries.length === 0 && <Empty>Nothing yet.</Empty>}
    </div>
  );
}
