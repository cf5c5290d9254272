/** What `mxoss compare` prints. */
import { percent, small } from "../eval/report/numbers.ts";
import type { CompareResults, DivergenceResult, SettingProtocol } from "../eval/results_schema.ts";
import { operationName, suspectText } from "../eval/summary.ts";
import { protocolLines, schemeText } from "./eval/tables.ts";
import { tableLines } from "./table.ts";

/**
 * The tables of a comparison.
 *
 * @param all Every operation, every quantized tensor and router flips one by one.
 */
export function compareTables({ mxoss, protocol, divergence: d }: CompareResults, all = false): string[] {
  const { logits, first_above_alarm: first } = d;
  const lines = [
    `A: ${settingText(protocol.a, protocol.b)}`,
    `B: ${settingText(protocol.b, protocol.a)}`,
    `${d.tokens} tokens of ${protocol.text.name} in ${d.sequences} sequence${d.sequences === 1 ? "" : "s"}`,
    "",
    ...tableLines(layerRows(d), [1, 2, 3, 4, 6, 7]),
    "",
    "total error: with all that came before; own: of the operation alone, on equal inputs; relative, ||B - A|| / ||A||",
    "",
    ...tableLines([
      ["KL of B from A", `mean ${small(logits.mean_kl)}, largest ${small(logits.max_kl)} at ${place(d)}`],
      ["same likeliest token", percent(logits.top1_agreement)],
      ["perplexity", `A ${logits.perplexity_a?.toFixed(4) ?? "-"}, B ${logits.perplexity_b?.toFixed(4) ?? "-"}`],
      ["router decisions changed", `${d.router.flipped} of ${d.router.decisions}`],
      [
        `first above the alarm line ${d.alarm}`,
        first === null ? "none" : `${operationName(first)}, ${small(first.relative_error)}`,
      ],
    ]),
  ];
  const clipped = d.tensors.filter(({ a, b }) => (a?.clipped ?? 0) + (b?.clipped ?? 0) > 0);
  if (all && d.tensors.length > 0) lines.push("", ...tensorLines(d.tensors));
  else if (clipped.length > 0) lines.push("", ...tensorLines(clipped));
  else if (d.tensors.length > 0) lines.push("", "quantized tensors: nothing is clipped");
  if (all) lines.push("", ...operationLines(d), ...flipLines(d));
  lines.push("");
  if (d.suspects.length === 0) {
    lines.push("suspects: none; every own error is what the settings' number formats explain");
  }
  for (const suspect of d.suspects) lines.push(`suspect: ${operationName(suspect)}: ${suspectText(suspect)}`);
  lines.push(...protocolLines(mxoss, [protocol.a, protocol.b], `A/B; text ${protocol.text.sha256.slice(0, 16)}`));
  return lines;
}

function place({ logits: { max_kl_at: at }, sequences }: DivergenceResult): string {
  return sequences === 1 ? `position ${at.position}` : `sequence ${at.sequence}, position ${at.position}`;
}

/** The setting in one line: what differs from the other side, or its main facts. */
function settingText(own: SettingProtocol, other: SettingProtocol): string {
  const always: (keyof SettingProtocol)[] = ["scheme", "scale_rule", "dtype", "kv_cache_dtype"];
  const rest = (Object.keys(own) as (keyof SettingProtocol)[])
    .filter((name) => !always.includes(name) && !/sha256|fingerprint/.test(name) && own[name] !== other[name]);
  const weights = own.weights_sha256 === other.weights_sha256 ? [] : [`weights ${own.weights_sha256.slice(0, 12)}`];
  return [
    schemeText(own),
    own.dtype,
    `kv ${own.kv_cache_dtype}`,
    ...rest.map((name) => `${name} ${own[name] ?? "none"}`),
    ...weights,
  ].join(", ");
}

/**
 * One row per layer: the residual stream behind attention and experts, and the operation with the largest own error.
 */
function layerRows({ operations, router, tensors }: DivergenceResult): string[][] {
  const rows = [[
    "layer",
    "behind attention",
    "behind experts",
    "largest total",
    "largest own",
    "of",
    "flips",
    "clipped",
  ]];
  const layers = [...new Set(operations.map((o) => o.layer))].sort((x, y) => x - y);
  for (const layer of layers) {
    const own = operations.filter((o) => o.layer === layer);
    const find = (name: string) => small(own.find((o) => o.operation === name)?.total.relative_error ?? null);
    const inside = router.per_layer[layer] !== undefined;
    const worstTotal = largest(own, (o) => o.total.relative_error),
      worstOwn = largest(own, (o) => o.own?.relative_error ?? 0);
    const clipped = tensors.filter((t) => t.layer === layer)
      .reduce((sum, { a, b }) => sum + Math.max(a?.clipped ?? 0, b?.clipped ?? 0), 0);
    const known = own.some((o) => o.own !== null);
    rows.push([
      inside ? `${layer}` : layer < 0 ? "before" : "behind",
      inside ? find("attentionResidual") : "",
      inside ? find("mlpResidual") : "",
      small(worstTotal.total.relative_error),
      known ? small(worstOwn.own?.relative_error ?? null) : "-",
      known && worstOwn.own?.relative_error !== 0 ? worstOwn.operation : "",
      inside ? percent(router.per_layer[layer]!) : "",
      inside ? `${clipped}` : "",
    ]);
  }
  return rows;
}

type Operation = DivergenceResult["operations"][number];

function largest(operations: readonly Operation[], error: (o: Operation) => number | null): Operation {
  return operations.reduce((worst, o) => (error(o) ?? Infinity) > (error(worst) ?? Infinity) ? o : worst);
}

function tensorLines(tensors: DivergenceResult["tensors"]): string[] {
  const cell = (counts: DivergenceResult["tensors"][number]["a"]) =>
    counts === null
      ? "-"
      : `${counts.clipped} clipped, ${counts.at_max} at the maximum, ${counts.flushed} to zero of ${counts.elements} ` +
        `(${counts.format})`;
  return tableLines([
    ["quantized tensor", "A", "B"],
    ...tensors.map(({ layer, name, a, b }) => [operationName({ layer, operation: name }), cell(a), cell(b)]),
  ]);
}

/** Outlier channels of an operation that are named in a line. */
const NAMED_CHANNELS = 3;

function operationLines({ operations }: DivergenceResult): string[] {
  const error = (e: Operation["total"] | null) =>
    e === null ? ["-", ""] : [small(e.relative_error), e.sqnr_db?.toFixed(1) ?? ""];
  return tableLines([
    ["operation", "total error", "SQNR, dB", "own error", "SQNR, dB", "explained", "rerouted rows", "outlier channels"],
    ...operations.map((o) => [
      operationName(o),
      ...error(o.total),
      ...error(o.own),
      small(o.explained),
      o.unmatched_rows === 0 ? "" : `${o.unmatched_rows} of ${o.unmatched_rows + o.rows}`,
      o.outliers.slice(0, NAMED_CHANNELS)
        .map((c) => `${c.channel} (${(c.magnitude ?? 0).toFixed(1)} x RMS, ${percent(c.error_share ?? 0, 0)} of error)`)
        .join(", "),
    ]),
  ], [1, 2, 3, 4, 5, 6]);
}

/** Router flips that are listed on a terminal. */
const LISTED_FLIPS = 50;

function flipLines({ router: { flips, flipped } }: DivergenceResult): string[] {
  if (flips.length === 0) return [];
  return [
    "",
    `router flips (${Math.min(LISTED_FLIPS, flips.length)} of ${flipped})`,
    ...tableLines([
      ["layer", "sequence", "position", "token id", "only A", "only B", "A's margin"],
      ...flips.slice(0, LISTED_FLIPS).map((f) => [
        `${f.layer}`,
        `${f.sequence}`,
        `${f.position}`,
        `${f.token}`,
        f.lost.join(","),
        f.gained.join(","),
        small(f.margin),
      ]),
    ], [0, 1, 2, 3, 6]),
  ];
}
