/** The picture of a choice: KL from the first setting against bytes of weights, with the front that none beats. */
import { type CostedSetting, onFront, sizeText } from "./cost_tables.ts";
import type { Artist } from "./draw.ts";
import { SERIES } from "./html.ts";
import { measured } from "./numbers.ts";
import { decades, EMPTY, HALO, WIDTH } from "./plot_parts.ts";

/** What is below stands on the lower edge. */
const LEAST_KL = 1e-10;

/** The plot; the first setting, from which there is no distance, stands on the lower edge. */
export function costPlot({ Plot, draw }: Artist, settings: readonly CostedSetting[]): string {
  const known = settings.filter(({ kl }) => kl !== null);
  if (known.length < 2) return EMPTY;
  const positive = known.map(({ kl }) => kl!).filter((kl) => kl > LEAST_KL);
  const axis = decades(positive.length === 0 ? [LEAST_KL, 1] : positive),
    [bottom, top] = axis.domain as [number, number];
  const front = onFront(settings), at = (kl: number) => Math.min(top, Math.max(bottom, kl));
  const [unit, size] = known.some(({ cost }) => cost.weight_bytes >= 1e9) ? ["GB", 1e9] as const : ["MB", 1e6] as const;
  const points = known.map((setting) => {
    const { label, cost: { weight_bytes: bytes }, kl, mean } = setting;
    const low = mean?.low ?? bottom, high = mean?.high ?? top, text = mean === null ? "-" : measured(mean);
    return { label, bytes: bytes / size, size: sizeText(bytes), kl: at(kl!), text, low: at(low), high: at(high) };
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
        title: (d) => `${d.label}: ${d.text} nats, ${d.size}`,
      }),
      Plot.text(points, { x: "bytes", y: "kl", text: "label", dx: 9, textAnchor: "start", ...HALO }),
    ],
  });
}
