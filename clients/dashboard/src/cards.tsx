/** Cards: a figure, its window of time, and a sparkline. */

import type { ComponentChildren } from "preact";

import { Chart } from "./chart";
import { duration, milliseconds, number, transport } from "./format";
import type { Figures, Overview, Promises } from "./messages";
import { Badge } from "./parts";
import type { Series } from "./state";

interface CardProps {
  readonly title: string;
  readonly value: string;
  /** The time over which the figure is taken. */
  readonly window: string;
  /** Whether the figure is within what is promised; undefined if nothing is promised. */
  readonly kept?: boolean | undefined;
  readonly details?: ComponentChildren;
  readonly children?: ComponentChildren;
}

export function Card({ title, value, window, kept, details, children }: CardProps) {
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

/** A chart of one of the values of a series; nothing if there is none. */
export function SeriesChart(props: {
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

export const promised = (promise: number | undefined, unit: string): string =>
  promise === undefined ? "" : ` · promised ${number(promise)} ${unit}`;

export const within = (value: number | undefined, promise: number | undefined): boolean | undefined =>
  value === undefined || promise === undefined ? undefined : value <= promise;

/** The time from an event to its delivery over one transport, against what is promised. */
function DeliveryCard(props: {
  figures: Figures;
  windows: Overview["windows"];
  series: Series | undefined;
  name: string;
  promise: number | undefined;
}) {
  const { figures, windows, series, name, promise } = props;
  const measured = figures.delivery[name];
  const title = `Event to ${transport(name)}`;
  return (
    <Card
      title={title}
      value={milliseconds(measured?.p99_ms)}
      window={`p99, last ${duration(windows.latencies_seconds)}`}
      kept={within(measured?.p99_ms, promise)}
      details={`${measured?.count ? `median ${milliseconds(measured.p50_ms)}` : "nothing delivered"}${promised(promise, "ms")}`}
    >
      <SeriesChart
        series={series}
        name={`${name}_p99_ms`}
        label={`${title}, 99th percentile`}
        format={milliseconds}
        {...(promise === undefined ? {} : { promise })}
      />
    </Card>
  );
}

/** The delivery over every transport. */
export function DeliveryCards(props: {
  figures: Figures;
  windows: Overview["windows"];
  series: Series | undefined;
  promises: Promises | undefined;
}) {
  const { promises, ...shown } = props;
  return (
    <>
      <DeliveryCard {...shown} name="websocket" promise={promises?.websocket_delivery_ms} />
      <DeliveryCard {...shown} name="udp" promise={promises?.udp_delivery_ms} />
    </>
  );
}
