/** The picture of a choice: KL from the first setting against bytes of weights, with the front that none beats. */
import { blockMean } from "../statistics.ts";
import type { DivergenceResult } from "../results_schema.ts";
import { type CostedSetting, onFront, sizeText } from "./cost_tables.ts";
import type { Artist } from "./draw.ts";
import { SERIES } from "./html.ts";
import { small } from "./numbers.ts";
import { decades, EMPTY, HALO, WIDTH } from "./plot_parts.ts";

/** Tokens whose mean is one observation of the interval. */
const BLOCK = 32;
/** What is below stands on the lower edge. */
const LEAST_KL = 1e-10;

/** A setting, and its comparison with the first where there is one. */
export interface PlottedCost extends CostedSetting {
  readonly divergence: DivergenceResult | null;
}

/** The plot; the first setting, from which there is no distance, stands on the lower edge. */
export function costPlot({ Plot, draw }: Artist, settings: readonly PlottedCost[]): string {
  const known = settings.filter(({ kl }) => kl !== null);
  if (known.length < 2) return EMPTY;
  const positive = known.map(({ kl }) => kl!).filter((kl) => kl > LEAST_KL);
  const axis = decades(positive.length === 0 ? [LEAST_KL, 1] : positive),
    [bottom, top] = axis.domain as [number, number];
  const front = onFront(settings), at = (kl: number) => Math.min(top, Math.max(bottom, kl));
  const [unit, size] = known.some(({ cost }) => cost.weight_bytes >= 1e9) ? ["GB", 1e9] as const : ["MB", 1e6] as const;
  const points = known.map((setting) => {
    const { low, high } = intervalOf(setting);
    const { label, cost: { weight_bytes: bytes }, kl } = setting;
    return { label, bytes: bytes / size, size: sizeText(bytes), kl: at(kl!), exact: kl!, low: at(low), high: at(high) };
  });
  const best = points.filter((_, i) => front.has(known[i]!)).sort((a, b) => a.bytes - b.bytes || b.kl - a.kl);
  const sizes = points.map(({ bytes }) => bytes), [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const room = Math.max(0.15 * (most - least), 0.02 * most);
  return draw({
    width: WIDTH,
    height: 420,
    marginLeft: 70,
    marginRight: 30,
    x: { label: `weights, ${unit}`, domain: [least - room, most + 2 * room], grid: true },
    y: { type: "log", label: "mean KL from the first setting, nats", grid: true, ...axis },
    marks: [
      Plot.line(best, { x: "bytes", y: "kl", stroke: "var(--soft)", strokeDasharray: "4 4", curve: "step-after" }),
      Plot.ruleX(points, { x: "bytes", y1: "low", y2: "high", stroke: SERIES[0]!, strokeWidth: 2, strokeOpacity: 0.6 }),
      Plot.dot(points, {
        x: "bytes",
        y: "kl",
        r: 5,
        fill: SERIES[0]!,
        title: (d) => `${d.label}: ${small(d.exact)} nats, ${d.size}`,
      }),
      Plot.text(points, { x: "bytes", y: "kl", text: "label", dx: 9, textAnchor: "start", ...HALO }),
    ],
  });
}

/** The 95% interval of the mean KL; the point itself for the first setting. */
function intervalOf({ divergence, kl }: PlottedCost): { low: number; high: number } {
  if (divergence === null) return { low: kl!, high: kl! };
  const { low, high } = blockMean(divergence.logits.kl.map((value) => value ?? 0), BLOCK);
  return { low, high };
}
