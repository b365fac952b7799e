/** The first page: what all nodes do now, against what the service promises. */

import type { ComponentChildren } from "preact";

import { Chart } from "./chart";
import { bytes, duration, milliseconds, number, percent, transport } from "./format";
import type { NodeOverview } from "./messages";
import { type Act, Badge, Empty, Pending, Section, Table, type Tone } from "./parts";
import { memoryPerSession, type Series, type State } from "./state";

interface CardProps {
  readonly title: string;
  readonly value: string;
  /** Over which time the figure is taken. */
  readonly window: string;
  /** Whether the figure is within what is promised; undefined where nothing is. */
  readonly kept?: boolean | undefined;
  readonly details?: ComponentChildren;
  readonly children?: ComponentChildren;
}

function Card({ title, value, window, kept, details, children }: CardProps) {
  return (
    <article class="card">
      <h2>{title}</h2>
      <p class="value figure">
        {value} {kept === undefined ? null : kept ? <Badge tone="good">kept</Badge> : <Badge tone="warn">missed</Badge>}
      </p>
      <p class="window">{window}</p>
      {children}
      {details && <p class="details">{details}</p>}
    </article>
  );
}

/** A chart of one of the server's series; nothing while there is none. */
function SeriesChart(props: {
  series: Series | undefined;
  name: string;
  label: string;
  promise?: number;
  format: (value: number) => string;
}) {
  const values = props.series?.values[props.name];
  if (!props.series || !values) return null;
  const { until, step, point } = props.series;
  return <Chart {...props} until={until} step={step} values={values} now={point[props.name]} />;
}

const within = (value: number | undefined, promise: number | undefined): boolean | undefined =>
  value === undefined || promise === undefined ? undefined : value <= promise;

const by = (figures: Readonly<Record<string, number>>): string =>
  Object.entries(figures)
    .map(([name, count]) => `${transport(name)} ${number(count)}`)
    .join(" · ");

export function OverviewPage({ state, act }: { state: State; act: Act | undefined }) {
  const { overview, series, info } = state;
  if (!overview) return <Pending error={undefined} />;
  const { total, windows, nodes } = overview;
  const promises = info?.promises;
  const rates = `last ${duration(windows.rates_seconds)}`;
  const latencies = `p99, last ${duration(windows.latencies_seconds)}`;
  const counts = `last ${duration(windows.counts_seconds)}`;
  const connections = Object.values(total.connections).reduce((sum, count) => sum + count, 0);
  const webSocket = total.delivery["websocket"];
  const udp = total.delivery["udp"];
  return (
    <>
      <h1>Overview</h1>
      <div class="cards">
        <Card title="Connections" value={number(connections)} window="now" details={by(total.connections)}>
          <SeriesChart series={series} name="connections" label="Connections" format={number} />
        </Card>
        <Card title="Sessions" value={number(total.sessions)} window="now" details={by(total.watchers)}>
          <SeriesChart series={series} name="sessions" label="Sessions" format={number} />
        </Card>
        <Card
          title="Event to WebSocket"
          value={milliseconds(webSocket?.p99_ms)}
          window={latencies}
          kept={within(webSocket?.p99_ms, promises?.websocket_delivery_ms)}
          details={`median ${milliseconds(webSocket?.p50_ms)} · promised ${milliseconds(promises?.websocket_delivery_ms)}`}
        >
          <SeriesChart
            series={series}
            name="websocket_p99_ms"
            label="Event to WebSocket, 99th percentile"
            format={milliseconds}
            {...(promises ? { promise: promises.websocket_delivery_ms } : {})}
          />
        </Card>
        <Card
          title="Event to UDP"
          value={milliseconds(udp?.p99_ms)}
          window={latencies}
          kept={within(udp?.p99_ms, promises?.udp_delivery_ms)}
          details={`median ${milliseconds(udp?.p50_ms)} · promised ${milliseconds(promises?.udp_delivery_ms)}`}
        >
          <SeriesChart
            series={series}
            name="udp_p99_ms"
            label="Event to UDP, 99th percentile"
            format={milliseconds}
            {...(promises ? { promise: promises.udp_delivery_ms } : {})}
          />
        </Card>
        <Card
          title="Memory per session"
          value={bytes(total.session_memory_bytes)}
          window="now"
          kept={within(total.session_memory_bytes, promises?.session_memory_bytes)}
          details={`all processes ${bytes(total.memory_bytes)} · promised ${bytes(promises?.session_memory_bytes)}`}
        >
          {series && (
            <Chart
              label="Memory of all processes for each session"
              until={series.until}
              step={series.step}
              values={memoryPerSession(series)}
              format={bytes}
              promise={promises?.session_memory_bytes}
            />
          )}
        </Card>
        <Card title="Deliveries" value={`${number(total.deliveries_per_second)}/s`} window={rates}>
          <SeriesChart series={series} name="deliveries_per_second" label="Deliveries per second" format={number} />
        </Card>
        <Card title="Events" value={`${number(total.events_per_second)}/s`} window={rates}>
          <SeriesChart series={series} name="events_per_second" label="Events per second" format={number} />
        </Card>
        <Card title="Sent" value={`${bytes(total.bytes_per_second)}/s`} window={rates}>
          <SeriesChart series={series} name="bytes_per_second" label="Bytes per second" format={bytes} />
        </Card>
        <Card
          title="UDP round trip"
          value={milliseconds(total.round_trip.p99_ms)}
          window={latencies}
          details={`median ${milliseconds(total.round_trip.p50_ms)}`}
        >
          <SeriesChart series={series} name="round_trip_p99_ms" label="UDP round trip" format={milliseconds} />
        </Card>
        <Card
          title="Event loop delay"
          value={milliseconds(total.loop_delay.p99_ms)}
          window={latencies}
          details={`median ${milliseconds(total.loop_delay.p50_ms)}`}
        >
          <SeriesChart series={series} name="loop_delay_p99_ms" label="Event loop delay" format={milliseconds} />
        </Card>
        <Card
          title="Recovered returns"
          value={total.recovered_ratio === undefined ? "–" : percent(total.recovered_ratio * 100, 1)}
          window={counts}
          details={`${number(total.returns)} clients came back`}
        />
        <Card
          title="Refusals"
          value={number(Object.values(total.refusals).reduce((sum, count) => sum + count, 0))}
          window={counts}
        >
          <SeriesChart series={series} name="refusals_per_second" label="Refusals per second" format={number} />
        </Card>
      </div>
      <Section title="Nodes">
        <NodeTable nodes={nodes} act={act} />
      </Section>
      <Section title="Refusals by reason" aside={<span class="window">{counts}</span>}>
        <Refusals refusals={total.refusals} />
      </Section>
    </>
  );
}

function nodeState(node: NodeOverview): [Tone, string] {
  if (!node.answering) return ["bad", "silent"];
  if (node.draining) return ["idle", "draining"];
  if (node.state.stalled) return ["warn", "no changes"];
  return node.ready ? ["good", "ready"] : ["warn", "not ready"];
}

function NodeTable({ nodes, act }: { nodes: readonly NodeOverview[]; act: Act | undefined }) {
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
    <Table label="Nodes" head={[...head, ...(act ? ["Action"] : [])]}>
      {nodes.map((node) => {
        const [tone, word] = nodeState(node);
        const { figures, state } = node;
        return (
          <tr key={node.node}>
            <td class="id">{node.node}</td>
            <td>
              <Badge tone={tone}>{word}</Badge>
            </td>
            <td class="figure">{number(Object.values(figures.connections).reduce((sum, count) => sum + count, 0))}</td>
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
              <td class="buttons">
                <button
                  type="button"
                  class="quiet"
                  onClick={() =>
                    act({
                      title: `Reload ${node.node}`,
                      explanation: "The node reads changed files again: options, keys, certificates.",
                      path: `admin/nodes/${encodeURIComponent(node.node)}/reload`,
                    })
                  }
                >
                  Reload
                </button>
                <button
                  type="button"
                  class="quiet"
                  disabled={node.draining}
                  onClick={() =>
                    act({
                      title: `Drain ${node.node}`,
                      explanation:
                        "The node accepts nothing new and closes its connections one by one. Only a restart undoes it.",
                      path: `admin/nodes/${encodeURIComponent(node.node)}/drain`,
                    })
                  }
                >
                  Drain
                </button>
              </td>
            )}
          </tr>
        );
      })}
    </Table>
  );
}

function Refusals({ refusals }: { refusals: Readonly<Record<string, number>> }) {
  const rows = Object.entries(refusals)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a);
  const most = rows[0]?.[1] ?? 1;
  if (rows.length === 0) return <Empty>Nothing was refused.</Empty>;
  return (
    <ul class="bars">
      {rows.map(([reason, count]) => (
        <li key={reason}>
          <span>{reason.replaceAll("_", " ")}</span>
          <span class="bar plain">
            <span style={{ transform: `scaleX(${count / most})` }} />
          </span>
          <span class="figure">{number(count)}</span>
        </li>
      ))}
    </ul>
  );
}
