/** The small parts that every page is made of. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { duration, number, percent, short, transport, words } from "./format";
import type { ConnectionRow, CraftProgress, QueueRow, Status } from "./messages";
import { percentAt, remainingAt } from "./state";

export type Tone = "good" | "warn" | "bad" | "idle" | "busy";

/** A state: a shape, a colour and a word, so that it is clear without the colour. */
export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`badge ${tone}`}>
      <svg viewBox="0 0 8 8" aria-hidden="true">
        {SHAPES[tone]}
      </svg>
      {children}
    </span>
  );
}

const SHAPES: Readonly<Record<Tone, JSX.Element>> = {
  good: <circle cx="4" cy="4" r="4" />,
  warn: <path d="M4 0 8 8 0 8Z" />,
  bad: <path d="M0 0H8V8H0Z" />,
  idle: <circle cx="4" cy="4" r="3" fill="none" stroke="currentColor" stroke-width="2" />,
  busy: <path d="M0 0 8 4 0 8Z" />,
};

const STATUS: Readonly<Record<Status, Tone>> = {
  active: "busy",
  paused: "idle",
  interrupted: "warn",
  completed: "good",
  failed: "bad",
};

export const StatusBadge = ({ status }: { status: Status }) => <Badge tone={STATUS[status]}>{status}</Badge>;

export const toneOf = (status: string): Tone => (status === "ok" ? "good" : status === "degraded" ? "warn" : "bad");

/** Redraws at every frame while `moving`; a hidden page is not redrawn. */
export function useFrame(moving: boolean): void {
  const [, draw] = useState(0);
  useEffect(() => {
    if (!moving) return;
    let frame = requestAnimationFrame(function next(now) {
      draw(now);
      frame = requestAnimationFrame(next);
    });
    return () => cancelAnimationFrame(frame);
  }, [moving]);
}

/** The bar of a craft. It moves between messages: the server sends only deviations. */
export function Progress({ progress, ahead }: { progress: CraftProgress; ahead: number }) {
  const moving = progress.status === "active" && progress.remaining_seconds !== undefined;
  useFrame(moving);
  const now = Date.now() + ahead;
  const [done, left] = [percentAt(progress, now), remainingAt(progress, now)];
  const shown = Math.floor(done);
  return (
    <span class="progress">
      <span
        class={`bar ${progress.status}`}
        role="progressbar"
        aria-label="Progress"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={shown}
      >
        <span style={{ transform: `scaleX(${done / 100})` }} />
      </span>
      <span class="figure">{percent(shown)}</span>
      <span class="figure left">{left === undefined ? "" : `${duration(left)} left`}</span>
    </span>
  );
}

/** A bar and a figure for each row. */
export function Bars({ rows }: { rows: readonly { name: string; share: number; figure: string }[] }) {
  return (
    <ul class="bars">
      {rows.map(({ name, share, figure }) => (
        <li key={name}>
          <span>{name}</span>
          <span class="bar plain">
            <span style={{ transform: `scaleX(${Math.min(1, share)})` }} />
          </span>
          <span class="figure">{figure}</span>
        </li>
      ))}
    </ul>
  );
}

export function Fact({ name, wide, children }: { name: string; wide?: boolean; children: ComponentChildren }) {
  return (
    <div class={wide ? "wide" : ""}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** The text of a problem, if there is one. */
export function Problem({ children }: { children: string | undefined }) {
  return children ? (
    <p class="problem" role="alert">
      {children}
    </p>
  ) : null;
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

/** Takes the place of a view until its data arrives, or shows why it does not. */
export function Pending({ error }: { error: string | undefined }) {
  return error ? (
    <p class="empty" role="alert">
      {error}
    </p>
  ) : (
    <p class="empty loading">Waiting for the server …</p>
  );
}

export function Section({
  title,
  aside,
  children,
}: {
  title: string;
  aside?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section>
      <header>
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

/** The heading of a column of buttons, which a printed page leaves out. */
export const ACTION = "Action";

/** A table that scrolls sideways on a narrow screen. */
export function Table({
  label,
  head,
  children,
}: {
  label: string;
  head: readonly string[];
  children: ComponentChildren;
}) {
  return (
    <div class="table" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {head.map((name) => (
              <th scope="col" key={name} class={name === ACTION ? "action" : ""}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

export const SessionLink = ({ id }: { id: string }) => (
  <a class="id" href={`#/sessions/${id}`} title={id}>
    {short(id)}
  </a>
);

export const PlayerLink = ({ id }: { id: string }) => (
  <a class="id" href={`#/players/${id}`} title={id}>
    {short(id)}
  </a>
);

export function QueueTable({ rows }: { rows: readonly QueueRow[] }) {
  return (
    <Table label="Places in queues" head={["Station", "Place", "Of", "Wait", "Jump price", "Player", "Session"]}>
      {rows.map((row) => (
        <tr key={`${row.player_id} ${row.station_type} ${row.session_id}`}>
          <td>{row.station_type ? words(row.station_type) : "any"}</td>
          <td class="figure">{row.queue_position}</td>
          <td class="figure">{row.total_in_queue ?? "–"}</td>
          <td class="figure">{duration(row.estimated_wait_seconds)}</td>
          <td class="figure">{number(row.jump_queue_cost)}</td>
          <td>
            <PlayerLink id={row.player_id} />
          </td>
          <td>{row.session_id ? <SessionLink id={row.session_id} /> : "–"}</td>
        </tr>
      ))}
    </Table>
  );
}

export type Act = (action: Action) => void;

/** What an operator may do, before it is confirmed. */
export interface Action {
  readonly title: string;
  readonly explanation: string;
  readonly path: string;
  readonly body?: Readonly<Record<string, string>>;
}

export const disconnection = (row: ConnectionRow): Action => ({
  title: `Disconnect ${row.connection}`,
  explanation: "The connection is closed with code 4009, and the client does not come back by itself.",
  path: `admin/connections/${encodeURIComponent(row.connection)}/disconnect`,
});

export function ConnectionTable({ rows, act }: { rows: readonly ConnectionRow[]; act: Act | undefined }) {
  return (
    <Table
      label="Connections"
      head={[
        "Transport",
        "Feed",
        "Encoding",
        "Network",
        "Client",
        "Round trip",
        "Loss",
        "Waiting",
        "Node",
        ...(act ? [ACTION] : []),
      ]}
    >
      {rows.map((row) => (
        <tr key={row.connection}>
          <td>{transport(row.transport)}</td>
          <td>{row.feed}</td>
          <td>{row.encoding}</td>
          <td class="id">{row.address}</td>
          <td class="long">{row.client ?? "–"}</td>
          <td class="figure">{row.round_trip_ms === undefined ? "–" : `${row.round_trip_ms.toFixed(1)} ms`}</td>
          <td class="figure">{row.loss === undefined ? "–" : percent(row.loss * 100, 1)}</td>
          <td class="figure">
            {row.waiting_updates
              ? `${row.waiting_updates}${row.lag_seconds ? `, ${row.lag_seconds.toFixed(1)} s` : ""}`
              : "0"}
          </td>
          <td>
            <span class="id node">{row.node}</span>
          </td>
          {act && (
            <td class="action">
              <button type="button" class="quiet" onClick={() => act(disconnection(row))}>
                Disconnect
              </button>
            </td>
          )}
        </tr>
      ))}
    </Table>
  );
}
