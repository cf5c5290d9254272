/** What `mxoss eval` prints. */
import type { CellName } from "../../eval/matrix.ts";
import { FILTERS } from "../../eval/filters.ts";
import type { DivergenceResult, Gsm8kResults, PerplexityResults, SettingProtocol } from "../../eval/results_schema.ts";
import { arrange, type Arrangement } from "../../eval/report/arrangement.ts";
import { observedSpread, operationName, residualError, suspectText, worstOperation } from "../../eval/summary.ts";
import { percent, points, small } from "../../eval/report/numbers.ts";
import { tableLines } from "../table.ts";

/** The scheme, with the rule of its scales where they are made on the fly. */
export function schemeText({ scheme, scale_rule: rule }: SettingProtocol): string {
  return rule === null ? scheme : `${scheme}, ${rule} scales`;
}

/** What made the numbers, in lines. What is not the same in all settings is given for each of them: `tp 1/2/4`. */
export function protocolLines(version: string, settings: readonly SettingProtocol[], task: string): string[] {
  const distinct = (of: (setting: SettingProtocol) => string | number | null) =>
    [...new Set(settings.map(of))].filter((value) => value !== null);
  const all = (name: keyof SettingProtocol) => distinct((setting) => setting[name]).join("/");
  const checkpoints = distinct(({ model, fingerprint, weights_sha256 }) =>
    `${model}, weights ${weights_sha256.slice(0, 16)}, config and headers ${fingerprint.slice(0, 16)}`
  );
  const rules = distinct((setting) => setting.scale_rule);
  return [
    "",
    ...checkpoints.map((checkpoint) => `mxoss ${version}; ${checkpoint}`),
    `${all("scheme")}${rules.length > 0 ? `, ${rules.join("/")} scales` : ""}, ${all("dtype")}, kv ${
      all("kv_cache_dtype")
    }, tp ${all("tp")}, ep ${all("ep")}, ${all("backend")}, ` +
    `${all("threads")} thread${all("threads") === "1" ? "" : "s"}; ${task}`,
    ...distinct((setting) => setting.calibrated_on).map((on) =>
      `static input scales from ${String(on).replace(/([0-9a-f]{16})[0-9a-f]{48}/, "$1")}`
    ),
  ];
}

/** The tables of an evaluation of word problems. */
export function gsm8kTables(results: Gsm8kResults, names: readonly CellName[]): string[] {
  const { cells, comparisons, divergences, protocol } = results;
  const lines: string[] = [];
  const arranged = arrange(cells, names).rows;
  const { asked, name } = protocol.data;
  const { format, shots } = protocol.prompt;
  lines.push(`${asked} problems of ${name}, ${format}, ${shots.length} examples, greedy, 95% intervals`, "");
  lines.push(...tableLines([
    ["setting", ...FILTERS.flatMap((filter) => [filter, ""]), "right", "tokens", "cut off", "no final"],
    ...cells.map((cell) => [
      cell.label,
      ...FILTERS.flatMap((filter) => {
        const { accuracy, low, high } = cell.filters[filter];
        return [percent(accuracy), `[${(100 * low).toFixed(1)}, ${(100 * high).toFixed(1)}]`];
      }),
      `${cell.filters["flexible-extract"].correct}`,
      `${cell.generated_tokens}`,
      `${cell.ends.length}`,
      `${cell.without_final}`,
    ]),
  ], [1, 3, 5, 6, 7, 8]));
  lines.push(...rankTable(cells, arranged, "problems solved (flexible-extract), by number of ranks", (cell) => {
    return `${cell.filters["flexible-extract"].correct}`;
  }));
  if (comparisons.length > 0) {
    lines.push("", `against ${cells[0]!.label}, on the same problems (flexible-extract)`, "");
    lines.push(...tableLines([
      ["setting", "points", "", "lost", "gained", "changed", "p", "p (Holm)", "noticeable"],
      ...comparisons.map(({ key, pairs }) => {
        const pair = pairs.find((p) => p.filter === "flexible-extract")!;
        return [
          labelOf(results, key),
          points(pair.difference),
          `[${points(pair.low)}, ${points(pair.high)}]`,
          `${pair.lost}`,
          `${pair.gained}`,
          `${pair.changed}`,
          pair.p.toFixed(3),
          pair.p_holm.toFixed(3),
          pair.detectable >= 1 ? "any" : (100 * pair.detectable).toFixed(1),
        ];
      }),
    ], [1, 3, 4, 5, 6, 7, 8]));
    lines.push(
      "",
      "points: accuracy minus the first setting's; noticeable: smaller true differences are noise to so many problems",
    );
  }
  lines.push(...divergenceLines(divergences, (key) => labelOf(results, key), cells[0]!.label));
  const distance = (of: (d: DivergenceResult) => number | null) => ({ key }: { readonly key: string }) => {
    const found = divergences.find((d) => d.key === key);
    return found === undefined ? "-" : small(of(found.divergence));
  };
  if (divergences.length > 0) {
    const from = `against ${cells[0]!.label}, by number of ranks`;
    lines.push(...rankTable(cells, arranged, `mean KL ${from}`, distance((d) => d.logits.mean_kl)));
    lines.push(...rankTable(cells, arranged, `residual error ${from}`, distance(residualError)));
  }
  lines.push(...observedSpread(results).flatMap((sentence) => ["", sentence]));
  lines.push(...protocolLines(results.mxoss, cells.map((cell) => cell.protocol), taskText(protocol)));
  return lines;
}

/** The tables of an evaluation of perplexity. */
export function perplexityTables(results: PerplexityResults): string[] {
  const { cells, comparisons, divergences, protocol } = results;
  const { tokens, name, sequence_length: length } = protocol.text;
  const lines = [`${tokens} tokens of ${name}, sequences of ${length}`, ""];
  lines.push(...tableLines([
    ["setting", "perplexity", "bits per byte", "nats per token", "more nats per token than the first"],
    ...cells.map(({ key, label, perplexity, nll, bits_per_byte }) => {
      const increase = comparisons.find((c) => c.key === key)?.nll_increase;
      return [
        label,
        perplexity?.toFixed(4) ?? "-",
        bits_per_byte?.toFixed(5) ?? "-",
        nll?.toFixed(6) ?? "-",
        increase === undefined ? "" : `${small(increase.mean)} [${small(increase.low)}, ${small(increase.high)}]`,
      ];
    }),
  ], [1, 2, 3]));
  lines.push(...divergenceLines(divergences, (key) => cells.find((c) => c.key === key)!.label, cells[0]!.label));
  lines.push(
    ...protocolLines(results.mxoss, cells.map((cell) => cell.protocol), `text ${protocol.text.sha256.slice(0, 16)}`),
  );
  return lines;
}

/** How problems are asked, in one line. */
function taskText({ data, prompt, decoding }: Gsm8kResults["protocol"]): string {
  return [
    `${prompt.format} by ${prompt.template}`,
    ...(prompt.system === null ? [] : [`system message ${JSON.stringify(prompt.system)}`]),
    ...(prompt.reasoning === null ? [] : [`reasoning ${prompt.reasoning}`]),
    ...(prompt.shots_from === null
      ? []
      : [`examples ${prompt.shots.map(({ index }) => index).join(" ")} of ${prompt.shots_from.sha256.slice(0, 16)}`]),
    `seed ${prompt.seed}`,
    `at most ${decoding.max_tokens} tokens`,
    `data ${data.sha256.slice(0, 16)}`,
  ].join(", ");
}

/** One number of every cell of a large matrix, at a glance: ranks stand side by side. None where they are rows. */
function rankTable<C extends { readonly label: string }>(
  cells: readonly C[],
  { columns, rows, place }: Arrangement,
  title: string,
  value: (cell: C) => string,
): string[] {
  if (columns.length < 2) return [];
  const at = (row: string, column: string) =>
    cells.find(({ label }) => place(label).row === row && place(label).column === column);
  return [
    "",
    title,
    "",
    ...tableLines([
      ["setting", ...columns],
      ...rows.map((row) => [
        row,
        ...columns.map((column) => {
          const cell = at(row, column);
          return cell === undefined ? "" : value(cell);
        }),
      ]),
    ], columns.map((_, i) => i + 1)),
  ];
}

function labelOf({ cells }: Gsm8kResults, key: string): string {
  return cells.find((cell) => cell.key === key)!.label;
}

function divergenceLines(
  divergences: readonly { key: string; divergence: DivergenceResult }[],
  label: (key: string) => string,
  first: string,
): string[] {
  if (divergences.length === 0) return [];
  const { tokens } = divergences[0]!.divergence;
  return [
    "",
    `layer by layer against ${first}, on ${tokens} tokens: here schemes differ that accuracy does not separate`,
    "",
    ...tableLines([
      ["setting", "mean KL", "max KL", "same top-1", "largest own error", "at", "residual error", "router flips"],
      ...divergences.map(({ key, divergence: d }) => {
        const worst = worstOperation(d);
        return [
          label(key),
          small(d.logits.mean_kl),
          small(d.logits.max_kl),
          percent(d.logits.top1_agreement),
          worst === undefined ? "-" : small(worst.own!.relative_error),
          worst === undefined ? "" : operationName(worst),
          small(residualError(d)),
          percent(d.router.flipped / Math.max(1, d.router.decisions)),
        ];
      }),
    ], [1, 2, 3, 4, 6, 7]),
    "",
    "own error: of an operation on equal inputs; residual error: of what leaves the last layer; both relative",
    ...divergences.flatMap(({ key, divergence: d }) =>
      d.suspects.map((s) => `suspect under ${label(key)}: ${operationName(s)}: ${suspectText(s)}`)
    ),
  ];
}
