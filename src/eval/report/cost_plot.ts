/**
 * The picture of a choice: typical KL from the first setting, by which settings are ranked, against bytes of weights,
 * with the front that none beats.
 */
import { type CostedSetting, onFront, sizeText } from "./cost_tables.ts";
import type { Artist } from "./draw.ts";
import { SERIES } from "./html.ts";
import { measured } from "./numbers.ts";
import { decades, EMPTY, HALO, WIDTH } from "./plot_parts.ts";

/** What is below stands on the lower edge: nothing that has a distance at all has a smaller typical one. */
const LEAST_KL = 1e-12;

/** What a window has room for. */
export interface CostPlotSize {
  readonly width: number;
  readonly height: number;
  /** Whether dots are named by their settings; else by their numbers in order. */
  readonly names: boolean;
}

/** In a window of a desk, and of a phone. */
export const WIDE: CostPlotSize = { width: WIDTH, height: 420, names: true },
  NARROW: CostPlotSize = { width: 340, height: 340, names: false };

/** Height of a line of labels, in pixels. */
const LINE = 15;

/** The plot; the first setting, from which there is no distance, stands on the lower edge. */
export function costPlot(
  { Plot, draw }: Artist,
  settings: readonly CostedSetting[],
  { width, height, names }: CostPlotSize = WIDE,
): string {
  const known = settings.filter(({ kl }) => kl !== null);
  if (known.length < 2) return EMPTY;
  const positive = known.map(({ kl }) => kl!).filter((kl) => kl > LEAST_KL);
  const ends = known.flatMap(({ typical }) => [typical?.low ?? 0, typical?.high ?? 0]).filter((kl) => kl > LEAST_KL);
  const least = Math.min(...positive) / MOST_BELOW;
  const axis = decades(positive.length === 0 ? [LEAST_KL, 1] : [...positive, ...ends.filter((kl) => kl >= least)]),
    [bottom, top] = axis.domain as [number, number];
  const front = onFront(settings), at = (kl: number) => Math.min(top, Math.max(bottom, kl));
  const [unit, size] = known.some(({ cost }) => cost.weight_bytes >= 1e9) ? ["GB", 1e9] as const : ["MB", 1e6] as const;
  const points = known.map((setting) => {
    const { label, cost: { weight_bytes: bytes }, kl, typical } = setting;
    // No difference was seen at all: a bar from edge to edge would say that much is known of how large it may be.
    const low = typical?.low ?? bottom, high = kl === 0 ? bottom : typical?.high ?? top;
    const text = typical === null ? "-" : measured(typical);
    const name = names ? label : `${settings.indexOf(setting) + 1}`;
    return { label, name, bytes: bytes / size, size: sizeText(bytes), kl: at(kl!), text, low: at(low), high: at(high) };
  });
  const best = points.filter((_, i) => front.has(known[i]!)).sort((a, b) => a.bytes - b.bytes || b.kl - a.kl);
  const sizes = points.map(({ bytes }) => bytes), [smallest, largest] = [Math.min(...sizes), Math.max(...sizes)];
  const room = Math.max(0.15 * (largest - smallest), 0.02 * largest);
  const perLine = Math.log(top / bottom) / (height - 80) * LINE;
  const labels = apart(points, room, perLine, bottom);
  return draw({
    width,
    height,
    marginLeft: names ? 70 : 50,
    marginRight: names ? 30 : 8,
    x: {
      label: `weights, ${unit}`,
      domain: [smallest - room, largest + (names ? 2 : 1) * room],
      grid: true,
      ...(names ? {} : { ticks: 4 }),
    },
    y: { type: "log", label: "typical KL, nats", grid: true, ...axis },
    marks: [
      Plot.line(best, { x: "bytes", y: "kl", stroke: "var(--soft)", strokeDasharray: "4 4", curve: "step-after" }),
      Plot.ruleX(points, { x: "bytes", y1: "low", y2: "high", stroke: SERIES[0]!, strokeWidth: 2, strokeOpacity: 0.6 }),
      Plot.dot(points, {
        x: "bytes",
        y: "kl",
        r: 5,
        fill: SERIES[0]!,
        title: (d) => `${d.label}: ${d.text} nats, ${d.size}`,
      }),
      Plot.text(labels, { x: "bytes", y: "kl", text: "name", dx: 9, textAnchor: "start", ...HALO }),
    ],
  });
}

/** How much the lower end of an interval may stretch the axis, as a factor below the least of them. */
const MOST_BELOW = 10;

interface Labelled {
  readonly name: string;
  readonly bytes: number;
  readonly kl: number;
}

/**
 * Places of labels, none over another: those of dots that stand close together move up.
 *
 * @param near Bytes within which labels would touch.
 * @param line Height of a label, in the logarithm of KL.
 */
function apart(points: readonly Labelled[], near: number, line: number, bottom: number): Labelled[] {
  const placed: Labelled[] = [];
  for (const point of points.toSorted((a, b) => a.kl - b.kl)) {
    const below = placed.filter(({ bytes }) => Math.abs(bytes - point.bytes) <= near).map(({ kl }) =>
      kl * Math.exp(line)
    );
    const kl = Math.max(bottom * Math.exp(line / 2), point.kl, ...below);
    placed.push({ name: point.name, bytes: point.bytes, kl });
  }
  return placed;
}
