/** Sections about comparisons, for all reports. */
import { operationName, residualError, worstOperation } from "../summary.ts";
import type { DivergenceResult } from "../results_schema.ts";
import { ownErrorPlot, residualPlot } from "./error_plots.ts";
import type { Comparisons, NamedDivergence } from "./plot_parts.ts";
import { distancePlot, klPlot, positionsPerDot } from "./prediction_plots.ts";
import type { Artist } from "./draw.ts";
import { card, folded, remark, table } from "./html.ts";
import { percent, small } from "./numbers.ts";

/** Where an evaluation shows what each setting does, layer by layer and position by position. */
export function layerByLayer(artist: Artist, comparisons: Comparisons): string[] {
  const { named, lines } = comparisons;
  const panels = lines.columns.length * lines.rows.length > 1;
  return [
    card(distancePlot(artist, comparisons), "KL divergence of the predictions"),
    divergenceTable(named),
    suspectList(named),
    card(
      residualPlot(artist, comparisons, named[0]!.divergence.alarm),
      "Error of the residual stream, layer by layer",
      "With everything that came before; where there is none, nothing is drawn." +
        (panels ? " Colours are schemes, panels are what else differs." : "") +
        ` The dashed red line is the alarm line, ${named[0]!.divergence.alarm}.`,
    ),
    card(
      ownErrorPlot(artist, comparisons),
      "Own error of operations, layer by layer",
      "Relative error of one operation on equal inputs. Operations that have none anywhere are left out.",
    ),
    card(klPlot(artist, comparisons), "KL divergence, position by position", klNote(named)),
  ];
}

/** What one must know to read a plot of KL by position. */
export function klNote(named: readonly NamedDivergence[]): string {
  const step = positionsPerDot(named);
  return (step === 1 ? "One dot for each position." : `One dot for ${step} positions: the largest KL of them.`) +
    " What is below 1e-10 lies on the lower edge; the dashed line is the mean.";
}

/** One line per comparison. */
function divergenceTable(comparisons: readonly NamedDivergence[]): string {
  return card(
    table(
      [
        "setting",
        "mean KL",
        "max KL",
        "same likeliest token",
        "perplexity",
        "residual error",
        "largest own error",
        "at",
        "router flips",
      ],
      comparisons.map(({ label, divergence: d }) => {
        const worst = worstOperation(d);
        return [
          label,
          small(d.logits.mean_kl),
          small(d.logits.max_kl),
          percent(d.logits.top1_agreement),
          d.logits.perplexity_b?.toFixed(4) ?? "-",
          small(residualError(d)),
          small(worst?.own?.relative_error ?? null),
          worst === undefined ? "" : operationName(worst),
          percent(d.router.flipped / Math.max(1, d.router.decisions)),
        ];
      }),
      { right: [1, 2, 3, 4, 5, 6, 8] },
    ),
    "",
    `The first setting's perplexity is ${comparisons[0]!.divergence.logits.perplexity_a?.toFixed(4) ?? "not finite"}.`,
  );
}

/** What was found to be suspect. */
export function suspectList(comparisons: readonly NamedDivergence[]): string {
  const all = comparisons.flatMap(({ label, divergence }) => divergence.suspects.map((s) => [label, s] as const));
  if (all.length === 0) {
    return remark("No operation's own error is larger than the number formats of the settings explain.", "good");
  }
  const rows = all.map(([label, s]) => [
    ...(comparisons.length > 1 ? [label] : []),
    operationName(s),
    small(s.error),
    small(s.explained),
    s.evidence,
    s.hints.join("; "),
  ]);
  const head = [
    ...(comparisons.length > 1 ? ["setting"] : []),
    "operation",
    "error",
    "explained",
    "evidence",
    "what is known",
  ];
  const first = head.indexOf("error");
  return remark("These operations differ by more than the number formats of the settings explain:", "bad") +
    card(table(head, rows, { right: [first, first + 1], wide: [head.length - 1] }));
}

/** Every operation, on demand. */
export function operationTable({ operations }: DivergenceResult): string {
  return folded(
    `All ${operations.length} operations`,
    table(
      [
        "operation",
        "total error",
        "SQNR, dB",
        "own error",
        "own SQNR, dB",
        "explained",
        "largest difference",
        "rows",
        "outlier channels",
      ],
      operations.map((o) => [
        operationName(o),
        small(o.total.relative_error),
        o.total.sqnr_db?.toFixed(1) ?? "∞",
        o.own === null ? "-" : small(o.own.relative_error),
        o.own === null ? "-" : o.own.sqnr_db?.toFixed(1) ?? "∞",
        small(o.explained),
        small(o.total.max_error),
        o.unmatched_rows > 0 ? `${o.rows} (+${o.unmatched_rows} rerouted)` : `${o.rows}`,
        o.outliers.slice(0, 4).map((c) =>
          `${c.channel} (${(c.magnitude ?? 0).toFixed(1)}×, ${percent(c.error_share ?? 0, 0)} of error)`
        ).join(", "),
      ]),
      { right: [1, 2, 3, 4, 5, 6, 7], wide: [8] },
    ),
  );
}

/** What quantization clips and flushes, tensor by tensor. */
export function tensorTable({ tensors }: DivergenceResult): string {
  if (tensors.length === 0) return `<p class="soft">Neither setting quantizes inputs or the cache.</p>`;
  const side = (counts: (typeof tensors)[number]["a"]) =>
    counts === null ? ["-", "", "", "", "", ""] : [
      counts.format,
      counts.scale === null ? "" : small(counts.scale),
      percent(counts.clipped / counts.elements, 3),
      percent(counts.at_max / counts.elements, 3),
      percent(counts.flushed / counts.elements, 3),
      small(counts.error),
    ];
  const both = tensors.some((t) => t.a !== null) && tensors.some((t) => t.b !== null);
  const columns = ["format", "scale", "clipped", "at maximum", "flushed to 0", "error"];
  const sides = both ? (["a", "b"] as const) : tensors.some((t) => t.a !== null) ? (["a"] as const) : (["b"] as const);
  return card(table(
    ["tensor", ...sides.flatMap((s) => columns.map((c) => sides.length > 1 ? `${s.toUpperCase()}: ${c}` : c))],
    tensors.map((t) => [operationName({ layer: t.layer, operation: t.name }), ...sides.flatMap((s) => side(t[s]))]),
    { right: sides.flatMap((_, i) => [2, 3, 4, 5, 6].map((c) => c + 6 * i)) },
  ));
}

/** Most flips that a page shows. */
const SHOWN_FLIPS = 40;

/** Tokens that went to other experts, the clearest changes of mind first. */
export function flipTable({ router }: DivergenceResult): string {
  if (router.flips.length === 0) return "";
  const flips = router.flips.toSorted((a, b) => (b.margin ?? Infinity) - (a.margin ?? Infinity)).slice(0, SHOWN_FLIPS);
  return folded(
    `The ${flips.length} flips of ${router.flipped} that A was surest of`,
    table(
      ["layer", "sequence", "position", "token id", "only A", "only B", "A's margin"],
      flips.map((f) => [
        `${f.layer}`,
        `${f.sequence}`,
        `${f.position}`,
        `${f.token}`,
        f.lost.join(", "),
        f.gained.join(", "),
        small(f.margin),
      ]),
      { right: [0, 1, 2, 3, 6] },
    ),
  );
}
