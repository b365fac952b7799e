/** Nodes: a table of all, and a page for each. */

import { Card, DeliveryCards, SeriesChart } from "./cards";
import { bytes, duration, milliseconds, number, percent, time, transport, words } from "./format";
import type { NodeOverview } from "./messages";
import { ACTION, type Act, Badge, Bars, Empty, Fact, Pending, Problem, Section, Table, type Tone } from "./parts";
import { ENOUGH_SESSIONS, type State } from "./state";

export const sum = (figures: Readonly<Record<string, number>>): number =>
  Object.values(figures).reduce((total, count) => total + count, 0);

export const by = (figures: Readonly<Record<string, number>>): string =>
  Object.entries(figures)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${transport(name)} ${number(count)}`)
    .join(" · ");

function NodeBadge({ node }: { node: NodeOverview }) {
  const [tone, word]: [Tone, string] = !node.answering
    ? ["bad", "silent"]
    : node.draining
      ? ["idle", "draining"]
      : node.state.stalled
        ? ["warn", "no changes"]
        : node.ready
          ? ["good", "ready"]
          : ["warn", "not ready"];
  return <Badge tone={tone}>{word}</Badge>;
}

const NodeLink = ({ name }: { name: string }) => (
  <a class="id node" href={`#/nodes/${encodeURIComponent(name)}`}>
    {name}
  </a>
);

/** What an operator may do with a node. */
function NodeActions({ node, act, quiet }: { node: NodeOverview; act: Act; quiet?: boolean }) {
  const path = `admin/nodes/${encodeURIComponent(node.node)}`;
  const look = quiet ? "quiet" : "";
  return (
    <span class="buttons">
      <button
        type="button"
        class={look}
        onClick={() =>
          act({
            title: `Reload ${node.node}`,
            explanation: "The node reads changed files again: options, keys, certificates.",
            path: `${path}/reload`,
          })
        }
      >
        Reload
      </button>
      <button
        type="button"
        class={look}
        disabled={node.draining}
        onClick={() =>
          act({
            title: `Drain ${node.node}`,
            explanation:
              "The node accepts nothing new and closes its connections one by one. Only a restart undoes it.",
            path: `${path}/drain`,
          })
        }
      >
        Drain
      </button>
    </span>
  );
}

export function NodeTable({ nodes, act }: { nodes: readonly NodeOverview[]; act: Act | undefined }) {
  const head = [
    "Node",
    "State",
    "Connections",
    "Deliveries",
    "WebSocket p99",
    "UDP p99",
    "Loop p99",
    "Memory",
    "Back end",
    "Up",
  ];
  return (
    <Table label="Nodes" head={[...head, ...(act ? [ACTION] : [])]}>
      {nodes.map((node) => {
        const { figures, state } = node;
        return (
          <tr key={node.node} class={node.answering ? "" : "quiet"}>
            <td>
              <NodeLink name={node.node} />
            </td>
            <td>
              <NodeBadge node={node} />
            </td>
            <td class="figure">{number(sum(figures.connections))}</td>
            <td class="figure">{number(figures.deliveries_per_second)}/s</td>
            <td class="figure">{milliseconds(figures.delivery["websocket"]?.p99_ms)}</td>
            <td class="figure">{milliseconds(figures.delivery["udp"]?.p99_ms)}</td>
            <td class="figure">{milliseconds(figures.loop_delay.p99_ms)}</td>
            <td class="figure">{bytes(figures.memory_bytes)}</td>
            <td title={state.stalled ?? ""}>
              {state.backend}
              {state.epoch ? <span class="id"> {state.epoch}</span> : null}
              {state.stalled ? <span class="note"> {state.stalled}</span> : null}
            </td>
            <td class="figure">{duration(node.uptime_seconds)}</td>
            {act && (
              <td class="action">
                <NodeActions node={node} act={act} quiet />
              </td>
            )}
          </tr>
        );
      })}
    </Table>
  );
}

const LIMITS: Readonly<Record<string, string>> = {
  connections: "WebSocket connections",
  half_open: "half-open connections",
  udp_tickets: "UDP connections being opened",
};

const hostOf = (name: string): string => name.slice(0, name.lastIndexOf(":"));

export function NodePage({ id, state, act }: { id: string; state: State; act: Act | undefined }) {
  const { overview } = state;
  if (!overview) return <Pending error={undefined} />;
  const node = overview.nodes.find((each) => each.node === id);
  if (!node) return <Pending error={`There is no node ${id} now. The overview lists all nodes.`} />;
  const { figures, state: backEnd, limits = {} } = node;
  const { windows } = overview;
  const { latencies_seconds, counts_seconds } = windows;
  const rates = `last ${duration(windows.rates_seconds)}`;
  const series = state.nodes[id];
  const promises = state.info?.promises;
  const neighbours = overview.nodes.filter((each) => each !== node && hostOf(each.node) === hostOf(node.node));
  return (
    <>
      <h1>
        Node <span class="id">{node.node}</span>
      </h1>
      <div class="model wraps">
        <NodeBadge node={node} />
        <span class="window">
          {node.version}, up for {duration(node.uptime_seconds)}, figures of {time(node.timestamp)}
        </span>
        <span class="space" />
        {act && <NodeActions node={node} act={act} />}
      </div>
      <Problem>{backEnd.stalled}</Problem>
      <div class="cards">
        <Card
          title="Connections"
          value={number(sum(figures.connections))}
          window="now"
          details={by(figures.connections)}
        >
          <SeriesChart series={series} name="connections" label="Connections" format={number} />
        </Card>
        <DeliveryCards figures={figures} windows={windows} series={series} promises={promises} />
        <Card title="Deliveries" value={`${number(figures.deliveries_per_second)}/s`} window={rates}>
          <SeriesChart series={series} name="deliveries_per_second" label="Deliveries per second" format={number} />
        </Card>
        <Card title="Events" value={`${number(figures.events_per_second)}/s`} window={rates}>
          <SeriesChart series={series} name="events_per_second" label="Events per second" format={number} />
        </Card>
        <Card
          title="Event loop delay"
          value={milliseconds(figures.loop_delay.p99_ms)}
          window={`p99, last ${duration(latencies_seconds)}`}
          details={`median ${milliseconds(figures.loop_delay.p50_ms)}`}
        >
          <SeriesChart series={series} name="loop_delay_p99_ms" label="Event loop delay" format={milliseconds} />
        </Card>
        <Card title="Memory" value={bytes(figures.memory_bytes)} window="now">
          <SeriesChart series={series} name="memory_bytes" label="Memory" format={bytes} />
        </Card>
      </div>
      <p class="window">The charts show at most 3 minutes, and begin when the dashboard is opened.</p>
      <dl>
        <Fact name="Subscriptions, now">{by(figures.watchers) || "none"}</Fact>
        <Fact name="Sessions, now">{number(figures.sessions)}</Fact>
        <Fact name={`Sent, ${rates}`}>{bytes(figures.bytes_per_second)}/s</Fact>
        {figures.sessions >= ENOUGH_SESSIONS && (
          <Fact name="Memory per session, now">{bytes(figures.session_memory_bytes)}</Fact>
        )}
        <Fact name="Back end">
          {backEnd.backend}
          {backEnd.response_time_ms === undefined ? "" : `, answered in ${backEnd.response_time_ms} ms`}
        </Fact>
        {backEnd.epoch && (
          <Fact name="Epoch">
            <span class="id">{backEnd.epoch}</span>
          </Fact>
        )}
        <Fact name={`Recovered returns, last ${duration(counts_seconds)}`}>
          {figures.recovered_ratio === undefined
            ? "no client returned"
            : `${percent(figures.recovered_ratio * 100, 1)} of ${number(figures.returns)}`}
        </Fact>
      </dl>
      <Section title="Limits" aside={<span class="window">now</span>}>
        {Object.keys(limits).length === 0 ? (
          <Empty>This node does not report its limits.</Empty>
        ) : (
          <Bars
            rows={Object.entries(limits).map(([name, { used, limit }]) => ({
              name: LIMITS[name] ?? words(name),
              share: limit ? used / limit : 0,
              figure: limit ? `${number(used)} of ${number(limit)}` : `${number(used)}, unlimited`,
            }))}
          />
        )}
      </Section>
      {neighbours.length > 0 && (
        <Section title={`Other processes of ${hostOf(node.node)}`}>
          <NodeTable nodes={neighbours} act={act} />
        </Section>
      )}
      <Section title="Refusals by reason" aside={<span class="window">last {duration(counts_seconds)}</span>}>
        <Refusals refusals={figures.refusals} />
      </Section>
    </>
  );
}

export function Refusals({ refusals }: { refusals: Readonly<Record<string, number>> }) {
  const rows = Object.entries(refusals)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a);
  if (rows.length === 0) return <Empty>Nothing was refused.</Empty>;
  const most = rows[0]![1];
  return (
    <Bars rows={rows.map(([reason, count]) => ({ name: words(reason), share: count / most, figure: number(count) }))} />
  );
}
