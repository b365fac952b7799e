/** The first page: what all nodes do now, against what the service promises. */

import { Card, DeliveryCards, SeriesChart, within } from "./cards";
import { Chart } from "./chart";
import { bytes, duration, milliseconds, number, percent } from "./format";
import { by, NodeTable, Refusals, sum } from "./nodes";
import { type Act, Pending, Section } from "./parts";
import { ENOUGH_SESSIONS, memoryPerSession, type State } from "./state";

export function OverviewPage({ state, act }: { state: State; act: Act | undefined }) {
  const { overview, series, info } = state;
  if (!overview) return <Pending error={undefined} />;
  const { total, windows, nodes } = overview;
  const promises = info?.promises;
  const enough = total.sessions >= ENOUGH_SESSIONS;
  const rates = `last ${duration(windows.rates_seconds)}`;
  const latencies = `p99, last ${duration(windows.latencies_seconds)}`;
  const counts = `last ${duration(windows.counts_seconds)}`;
  return (
    <>
      <h1>Overview</h1>
      <div class="cards">
        <Card title="Connections" value={number(sum(total.connections))} window="now" details={by(total.connections)}>
          <SeriesChart series={series} name="connections" label="Connections" format={number} />
        </Card>
        <Card
          title="Sessions"
          value={number(total.sessions)}
          window="now"
          details={`watched: ${by(total.watchers) || "none"}`}
        >
          <SeriesChart series={series} name="sessions" label="Sessions" format={number} />
        </Card>
        <DeliveryCards figures={total} windows={windows} series={series} promises={promises} />
        <Card
          title="Memory per session"
          value={enough ? bytes(total.session_memory_bytes) : "–"}
          window={enough ? "now" : `measured from ${number(ENOUGH_SESSIONS)} sessions on`}
          kept={enough ? within(total.session_memory_bytes, promises?.session_memory_bytes) : undefined}
          details={`all processes ${bytes(total.memory_bytes)} · promised ${bytes(promises?.session_memory_bytes)}`}
        >
          {enough && series && (
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
          details={total.round_trip.count ? `median ${milliseconds(total.round_trip.p50_ms)}` : "no UDP connection"}
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
          details={`${number(total.returns)} clients returned`}
        />
        <Card title="Refusals" value={number(sum(total.refusals))} window={counts}>
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
