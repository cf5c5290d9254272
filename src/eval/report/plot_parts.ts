/** What plots share: sizes, axes, words that stand for what cannot be drawn. */
import type { DivergenceResult } from "../divergence_schema.ts";
import type { PredictionsResult } from "../predictions_schema.ts";
import type { Arrangement, Arrangements } from "./arrangement.ts";
import { tickText } from "./numbers.ts";

/** One comparison and what it is called. */
export interface NamedDivergence {
  readonly label: string;
  /** On more sequences than the rest, or on the same. */
  readonly predictions: PredictionsResult;
  readonly divergence: DivergenceResult;
}

/** Comparisons, and how they share plots. */
export interface Comparisons extends Arrangements {
  readonly named: readonly NamedDivergence[];
}

/** Width of a plot, in pixels. */
export const WIDTH = 1000;

/** What is said of a number that is not finite. */
export const BROKEN = "not finite";

/** What stands where there is nothing to draw. */
export const EMPTY = `<p class="soft">Nothing to draw: there is no such error.</p>`;

/** Keeps text legible over dots. */
export const HALO = { fill: "currentColor", stroke: "var(--card)", strokeWidth: 4 } as const;

/** Room that a logarithmic axis leaves beyond its values, as a factor. */
const AROUND = 1.3;
/** Decades up to which ticks stand at 1, 2 and 5 times each power of ten. */
const FEW_DECADES = 1.6;

/**
 * A logarithmic axis that holds all values and not a decade more; ticks stand at powers of ten, at every `step`-th of
 * them where they are many.
 */
export function decades(values: readonly number[], step = 1) {
  const low = Math.min(...values) / AROUND, high = Math.max(...values) * AROUND;
  const span = Math.log10(high / low), first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  const powers = Array.from({ length: last - first + 1 }, (_, i) => Number(`1e${first + i}`));
  const inside = (ticks: readonly number[]) => ticks.filter((tick) => tick >= low && tick <= high);
  const ticks = span <= FEW_DECADES
    ? inside(powers.flatMap((power) => [1, 2, 5].map((n) => Number((n * power).toPrecision(1)))))
    : inside(powers).filter((_, i) => span / step <= 2 || i % step === 0);
  return { domain: [low, high], ticks, tickFormat: tickText };
}

/** The layers of all divergences, each once. */
export function layersOf(named: readonly NamedDivergence[]): number[] {
  const layers = named.flatMap(({ divergence }) => divergence.router.per_layer.map((_, layer) => layer));
  return [...new Set(layers)];
}

/** Ticks of an axis of layers; panels side by side have room for few. */
export function layerTicks(named: readonly NamedDivergence[], { columns }: Arrangement): number[] {
  return spread(layersOf(named), columns.length > 1 ? 6 : 40);
}

/** At most `count` of the values, evenly apart. */
export function spread(values: readonly number[], count: number): number[] {
  const step = Math.ceil(values.length / count);
  return values.filter((_, i) => i % step === 0);
}

/** Room for names of rows at the right edge, in pixels. */
export const ROW_NAMES = 150;

/** Room for labels at the left edge, in pixels. */
export function labelRoom(labels: readonly string[]): number {
  return 20 + 6.8 * Math.max(0, ...labels.map((label) => label.length));
}
