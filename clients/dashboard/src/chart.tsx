/** A sparkline of the last 15 minutes, with the promise drawn as a line. */

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

import "uplot/dist/uPlot.min.css";

export interface ChartProps {
  /** What it shows, for those who do not see it. */
  readonly label: string;
  readonly until: number;
  readonly step: number;
  readonly values: readonly (number | null)[];
  /** The newest value, whose step is not complete. */
  readonly now?: number | undefined;
  readonly promise?: number | undefined;
  readonly format: (value: number) => string;
}

const HEIGHT = 64;
const LEAST_SPAN = 180; // seconds

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Points of a series: seconds, and values. */
function points({ until, step, values, now }: ChartProps): uPlot.AlignedData {
  const times = values.map((_, index) => (until - (values.length - 1 - index) * step) / 1000);
  return [
    [...times, (until + step) / 1000],
    [...values, now ?? null],
  ];
}

/** The time that is drawn, seconds. A server that has just started has a short series. */
const lasts = ({ step, values }: ChartProps): number => Math.max(LEAST_SPAN, (values.length * step) / 1000);

const span = (props: ChartProps): [number, number] => [
  props.until / 1000 - lasts(props),
  (props.until + props.step) / 1000,
];

export function Chart(props: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const element = host.current!;
    const promise = (u: uPlot) => {
      const limit = latest.current.promise;
      if (limit === undefined) return;
      const y = Math.round(u.valToPos(limit, "y", true));
      const { ctx, bbox } = u;
      ctx.save();
      ctx.strokeStyle = color("--promise");
      ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.lineWidth = devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.restore();
    };
    const drawn = (plot.current = new uPlot(
      {
        width: element.clientWidth || 240,
        height: HEIGHT,
        padding: [4, 0, 4, 0],
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
        axes: [{ show: false }, { show: false }],
        scales: {
          x: { range: () => span(latest.current) },
          y: { range: (_, __, most) => [0, Math.max(most ?? 0, latest.current.promise ?? 0, 1e-9) * 1.1] },
        },
        series: [
          {},
          { stroke: () => color("--accent"), fill: () => color("--accent-soft"), width: 1.5, points: { show: false } },
        ],
        hooks: {
          draw: [promise],
          setCursor: [
            (u) => {
              const index = u.cursor.idx;
              const value = index === null || index === undefined ? undefined : u.data[1]![index];
              const when = index === null || index === undefined ? undefined : u.data[0]![index];
              element.title =
                value === undefined || value === null || when === undefined
                  ? ""
                  : `${latest.current.format(value)} at ${new Date(when * 1000).toLocaleTimeString("en-GB")}`;
            },
          ],
        },
      },
      points(latest.current),
      element,
    ));
    const resized = new ResizeObserver(() => drawn.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    const theme = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => drawn.redraw();
    theme.addEventListener("change", redraw);
    addEventListener("craftnet-theme", redraw);
    return () => {
      resized.disconnect();
      theme.removeEventListener("change", redraw);
      removeEventListener("craftnet-theme", redraw);
      drawn.destroy();
    };
  }, []);

  useEffect(() => plot.current?.setData(points(props)));
  return (
    <div
      class="chart"
      ref={host}
      role="img"
      aria-label={`${props.label}, the last ${Math.round(lasts(props) / 60)} minutes`}
    />
  );
}
