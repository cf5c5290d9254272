/** Plots of what a setting does to predictions: KL divergence, and tokens that go to other experts. */
import { colourScale, panelChannels, panels } from "./arrangement.ts";
import type { Artist } from "./draw.ts";
import { SERIES } from "./html.ts";
import { headline } from "../summary.ts";
import { measured, measuredShare, small } from "./numbers.ts";
import { layerFlips } from "./prediction_tables.ts";
import {
  BROKEN,
  type Comparisons,
  decades,
  EMPTY,
  HALO,
  labelRoom,
  layerTicks,
  type NamedDivergence,
  ROW_NAMES,
  WIDTH,
} from "./plot_parts.ts";

/** Smallest KL that is drawn by position: below it there is nothing to see. */
const LEAST_KL = 1e-10;
/** Smallest typical KL that is not 0. */
const LEAST_TYPICAL = 1e-12;
/** Powers of ten of a plot by position: what is further below the largest stands on the lower edge. */
const MOST_DECADES = 6;
/** Most dots of one comparison, and of all: longer texts are thinned to the largest KL of neighbours. */
const MOST_DOTS = 1000, MOST_DOTS_OF_ALL = 10_000;

/** Ways to sum up the KL of all positions. */
const DISTANCES = ["typical", "mean", "largest"] as const;

/** Typical, mean and largest KL of every comparison. */
export function distancePlot({ Plot, draw }: Artist, { named, rows }: Comparisons): string {
  const distances = named.map(({ label, predictions }) => {
    const { kl: { log_mean: typical, mean, max } } = headline(predictions);
    const texts = [measured(typical), measured(mean), small(max)];
    return { label, ...rows.place(label), texts, distances: [typical.value, mean.value, max] as const };
  });
  const positive = distances.flatMap((one) => one.distances.map((kl) => kl ?? 0).filter((kl) => kl > LEAST_TYPICAL));
  // What is 0 stands a little left of everything else: a logarithm has no place for it.
  const floor = positive.length === 0 ? LEAST_KL : Math.min(...positive) / 3;
  const pairs = distances.map(({ distances: [typical, mean, largest], ...place }) => ({
    ...place,
    whole: mean !== null && largest !== null,
    least: Math.max(floor, Math.min(typical ?? Infinity, mean ?? Infinity)),
    most: Math.max(floor, largest ?? 0),
  }));
  const dots = distances.flatMap(({ distances: all, texts, ...place }) =>
    all.flatMap((kl, i) =>
      kl === null ? [] : [{ ...place, kind: DISTANCES[i]!, text: texts[i]!, kl: Math.max(floor, kl) }]
    )
  );
  const names = rows.rows.filter((row) => pairs.some((pair) => pair.row === row));
  const across = rows.columns.length > 1, channels = across ? { fx: "column" } : {};
  return draw({
    width: WIDTH,
    height: 74 + 26 * names.length,
    marginLeft: labelRoom(names),
    marginRight: 30,
    ...panels({ columns: rows.columns, rows: [] }),
    x: {
      type: "log",
      label: "KL from the first setting, nats",
      grid: true,
      ...decades(dots.length === 0 ? [LEAST_KL, 1] : dots.map(({ kl }) => kl), across ? 2 : 1),
      ...(across ? { inset: 8 } : {}),
    },
    y: { type: "band", domain: names, label: null, tickSize: 0 },
    color: { domain: [...DISTANCES], range: [SERIES[2]!, SERIES[0]!, SERIES[6]!], legend: true },
    marks: [
      ...(across ? [Plot.frame({ stroke: "var(--line)" })] : []),
      Plot.ruleY(pairs.filter(({ whole }) => whole), {
        x1: "least",
        x2: "most",
        y: "row",
        stroke: "var(--line)",
        strokeWidth: 2,
        ...channels,
      }),
      Plot.dot(dots, {
        x: "kl",
        y: "row",
        fill: "kind",
        r: 4.5,
        title: (d) => `${d.label}: ${d.kind} ${d.text}`,
        ...channels,
      }),
      Plot.text(pairs.filter(({ whole }) => !whole), {
        y: "row",
        text: () => BROKEN,
        frameAnchor: "middle",
        ...HALO,
        ...channels,
      }),
    ],
  });
}

/** Positions that one dot of {@linkcode klPlot} stands for. */
export function positionsPerDot(named: readonly NamedDivergence[]): number {
  const most = Math.min(MOST_DOTS, Math.ceil(MOST_DOTS_OF_ALL / named.length));
  return Math.max(1, ...named.map(({ divergence: { logits } }) => Math.ceil(logits.kl.length / most)));
}

const SAME = "same likeliest token", OTHER = "another likeliest token";

/** A dot for every position or so of every comparison, and the least KL that is drawn. */
function klDots({ named, rows }: Comparisons) {
  const step = positionsPerDot(named);
  const dots = named.flatMap(({ label, divergence: { logits } }) =>
    Array.from({ length: Math.ceil(logits.kl.length / step) }, (_, i) => {
      const part = logits.kl.slice(i * step, (i + 1) * step);
      const finite = part.filter((kl) => kl !== null);
      const agrees = !logits.agrees.slice(i * step, (i + 1) * step).includes("0");
      const kind = finite.length < part.length ? BROKEN : agrees ? SAME : OTHER;
      return { ...rows.place(label), position: i * step, kl: Math.max(LEAST_KL, ...finite), kind };
    })
  );
  const floor = Math.max(LEAST_KL, Math.max(...dots.map(({ kl }) => kl)) / 10 ** MOST_DECADES);
  for (const dot of dots) dot.kl = Math.max(floor, dot.kl);
  // What is not finite stands above everything else.
  const top = Math.max(1, ...dots.map(({ kl }) => kl));
  for (const dot of dots) if (dot.kind === BROKEN) dot.kl = top;
  return { dots, floor };
}

/** KL of every position, one panel per comparison. */
export function klPlot({ Plot, draw }: Artist, comparisons: Comparisons): string {
  const { named, rows } = comparisons, { dots, floor } = klDots(comparisons);
  const kinds = dots.some(({ kind }) => kind === BROKEN) ? [SAME, OTHER, BROKEN] : [SAME, OTHER];
  const means = named.map(({ label, divergence }) => ({
    ...rows.place(label),
    label,
    kl: divergence.logits.all.kl.mean.value ?? 0,
    text: measured(divergence.logits.all.kl.mean),
  })).filter(({ kl }) => kl > floor);
  const names = rows.rows.filter((row) => named.some(({ label }) => rows.place(label).row === row));
  const across = rows.columns.length > 1;
  const channels = { fy: "row", ...(across ? { fx: "column" } : {}) };
  return draw({
    width: WIDTH,
    height: 60 + (across ? 112 : 140) * names.length,
    marginLeft: 60,
    marginRight: across ? labelRoom(names) : 20,
    x: { label: "position (sequences one after the other)", ...(across ? { ticks: 3 } : {}) },
    y: { type: "log", label: "KL, nats", grid: true, ...decades(dots.map(({ kl }) => kl), across ? 3 : 2) },
    ...panels({ columns: rows.columns, rows: [] }),
    fy: { axis: across ? "right" : null, domain: names, label: null, padding: 0.12 },
    color: {
      domain: kinds,
      range: ["var(--s0)", "var(--bad)", "var(--s3)"].slice(0, kinds.length),
      legend: true,
    },
    marks: [
      Plot.frame({ stroke: "var(--line)" }),
      Plot.dot(dots, {
        x: "position",
        y: "kl",
        fill: "kind",
        r: across ? 1.4 : 1.8,
        ...channels,
        // A title for each of tens of thousands of dots would make the page slow.
        ...(across ? {} : { title: (d) => `position ${d.position}: ${small(d.kl)}` }),
      }),
      Plot.ruleY(means, { y: "kl", stroke: "currentColor", strokeDasharray: "5 4", ...channels }),
      Plot.text(means, {
        y: "kl",
        text: (m) => `mean ${m.text}`,
        frameAnchor: "right",
        textAnchor: "end",
        dy: -7,
        dx: -4,
        ...HALO,
        ...channels,
      }),
      ...(named.length > 1 && !across
        ? [Plot.text(named.map(({ label }) => rows.place(label)), {
          text: "row",
          frameAnchor: "top-left",
          dx: 6,
          dy: 5,
          fontWeight: 600,
          ...HALO,
          ...channels,
        })]
        : []),
    ],
  });
}

/** Share of tokens that went to other experts, by layer. */
export function routerPlot({ Plot, draw }: Artist, { named, lines }: Comparisons): string {
  const shares = named.flatMap(({ label, divergence }) =>
    divergence.router.per_layer.map((share, layer) => {
      const text = measuredShare(layerFlips(divergence.router, layer));
      return { label, ...lines.place(label), layer, share, text };
    })
  );
  if (shares.every(({ share }) => share === 0)) return EMPTY;
  const channels = panelChannels(lines);
  return draw({
    width: WIDTH,
    height: 60 + 180 * lines.rows.length,
    marginLeft: 60,
    marginRight: lines.rows.length > 1 ? ROW_NAMES : 20,
    ...panels(lines),
    x: { label: "layer", ticks: layerTicks(named, lines), tickFormat: "d", inset: 20 },
    y: { label: "tokens with other experts", grid: true, tickFormat: "~%", zero: true },
    color: colourScale(lines, named),
    marks: [
      ...(Object.keys(channels).length === 0 ? [] : [Plot.frame({ stroke: "var(--line)" })]),
      Plot.lineY(shares, { x: "layer", y: "share", z: "label", stroke: "colour", strokeWidth: 1.6, ...channels }),
      Plot.dot(shares, {
        x: "layer",
        y: "share",
        fill: "colour",
        r: 3,
        title: (b) => `${b.label}, layer ${b.layer}: ${b.text}`,
        ...channels,
      }),
      Plot.ruleY([0], { stroke: "var(--line)" }),
    ],
  });
}
