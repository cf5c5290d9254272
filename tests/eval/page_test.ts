/** What pages of evaluations and comparisons must show, and in which order; what their script does. */
import type { CellName } from "../../src/eval/matrix.ts";
import type { RankingResult } from "../../src/eval/predictions_schema.ts";
import { arrange } from "../../src/eval/report/arrangement.ts";
import { openArtist } from "../../src/eval/report/draw.ts";
import { costPlot } from "../../src/eval/report/cost_plot.ts";
import { distancePlot } from "../../src/eval/report/prediction_plots.ts";
import { compareReport } from "../../src/eval/report/compare_page.ts";
import { gsm8kReport } from "../../src/eval/report/gsm8k_page.ts";
import { heatTable } from "../../src/eval/report/heat.ts";
import { decades } from "../../src/eval/report/plot_parts.ts";
import { CompareResults, type Gsm8kResults, SCHEMA_VERSION } from "../../src/eval/results_schema.ts";
import { PICTURES } from "../../tools/page_pictures.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { readPage } from "./dom.ts";
import { compared, COST, divergence, gsm8k, SETTING, settingResult } from "./results.ts";

const SOURCE = "experts.down_proj: inputs as mxfp4 (100%)";

/** Four settings: of the three that are compared, the last two cannot be told apart. */
function ranked(): [Gsm8kResults, CellName[]] {
  const results = gsm8k(4, 1), labels = ["w_mxfp4", "far", "near", "close"], errors = [0.2, 0.02, 0.018];
  const pair = (a: number, b: number, p: number, tokens: number | null): RankingResult["pairs"][number] => ({
    a: `cell${a}`,
    b: `cell${b}`,
    typical_ratio: { value: 2, low: 1, high: 3 },
    typical_p: p,
    typical_tokens: tokens,
    mean_difference: { value: 1e-3, low: 0, high: 2e-3 },
    mean_p: p,
    mean_tokens: tokens,
  });
  const order = ["cell3", "cell2", "cell1"];
  return [{
    ...results,
    cells: results.cells.map((cell, i) => ({
      ...cell,
      label: labels[i]!,
      cost: { ...COST, weight_bytes: 4e9 - i * 1e8 },
    })),
    divergences: results.divergences.map(({ key }, i) => {
      const { divergence: d, ...found } = compared(errors[i]!);
      const down = d.operations.map((o) => o.operation === "attention" ? { ...o, operation: "experts.down_proj" } : o);
      const operations = down.map((o) =>
        o.operation === "experts.down_proj" ? o : { ...o, own: { ...o.own!, relative_error: 0 } }
      );
      const projections = d.projections.map((p) => ({ ...p, weights: { ...p.weights, relative_error: 0 } }));
      return { key, ...found, divergence: { ...d, suspects: [], operations, projections } };
    }),
    ranking: {
      part: "reply",
      tokens: 4,
      typical: { order, groups: [["cell3", "cell2"]] },
      mean: { order, groups: [] },
      pairs: [pair(3, 2, 0.4, 7100), pair(3, 1, 1e-3, 3), pair(2, 1, 1e-3, 3)],
    },
  }, labels.map((scheme) => ({ model: null, scheme, kvCacheDtype: null, tp: null, ep: null }))];
}

Deno.test("closer than every other one is said with the p-value of the one that is hardest to tell", async () => {
  const [results, names] = ranked(), ranking = results.ranking!, ps = [0.002, 0.031, 0.001];
  const pairs = ranking.pairs.map((pair, i) => ({ ...pair, typical_p: ps[i]! }));
  const told = { ...results, ranking: { ...ranking, typical: { ...ranking.typical, groups: [] }, pairs } };
  const [answer] = readPage(await gsm8kReport(told, names)).texts("#first .note");
  assertMatch(answer!, /close stays closest to .* with 95% confidence \(p = 0\.031 against far, corrected for 3 pairs/);
});

Deno.test("the picture of costs has no bar where nothing differs, though nothing bounds what might", async () => {
  const settings = [["w_mxfp4", 0, 0], ["bf16", 0, null], ["fp8", 1e-9, 2e-9]] as const;
  const svg = costPlot(
    await openArtist(),
    settings.map(([label, kl, high]) => ({
      ...{ key: label, label, cost: COST, kl, typical: { value: kl, low: kl / 2, high } },
      like: new Set([label]),
    })),
  );
  const bars = readPage(svg).all("[aria-label=rule] line").map((line) =>
    Math.abs(Number(line.getAttribute("y1")) - Number(line.getAttribute("y2")))
  );
  assertEquals(bars.map((height) => height > 1), [false, false, true]);
});

Deno.test("an evaluation's page answers first: a sentence, settings in order, KL by bytes", async () => {
  // The far end of the interval takes 7100 (ln 2 / ln 3)^2 = 2826 tokens, which "3000 or more" would leave out.
  const page = readPage(await gsm8kReport(...ranked()));
  assertEquals(page.texts("#first .note"), [
    "On 4 tokens of replies, close comes closest to w_mxfp4 (typical KL 0.018 [0.009, 0.018] nats), but cannot be " +
    "told from near with 95% confidence (corrected for 3 pairs); to tell them all apart takes 2000 tokens or more.",
  ]);
  assertEquals(page.texts("#first th"), [
    "setting",
    "typical KL, nats",
    "mean KL, nats",
    "same top",
    "weights",
    "where its error comes from",
    "not separable from",
  ]);
  const row = (
    setting: string,
    kl: string,
    size: string,
    others: string,
  ) => [setting, kl, kl, "75% [30, 95]", size, SOURCE, others];
  assertEquals(
    page.all("#first tbody tr").map((found) => [...found.querySelectorAll("td")].map((cell) => cell.textContent)),
    [
      ["w_mxfp4", "reference", "", "", "4.00 GB", "", ""],
      row("close", "0.018 [0.009, 0.018]", "3.70 GB", "near"),
      row("near", "0.020 [0.010, 0.020]", "3.80 GB", "close"),
      row("far", "0.20 [0.10, 0.20]", "3.90 GB", "none"),
    ],
  );
  // One plot, in two sizes of which a window shows one.
  assertEquals(page.all("#first svg").length, 2);
  assertEquals(page.all("#first .wide svg").length, 1);
  // It shows what the table is ordered by.
  for (const size of [".wide", ".narrow"]) {
    assert(page.texts(`#first ${size} svg text`).some((text) => text.includes("typical KL, nats")));
  }
  for (const name of ["w_mxfp4", "close", "near", "far"]) assert(page.texts("#first .wide svg text").includes(name));
  assertEquals(page.texts("h2"), ["Where error comes from", "Predictions", "Accuracy", "Cost", "Protocol"]);
  assert(page.texts("th").includes("same top of another text"));
});

Deno.test("an evaluation's page folds accuracy where nothing changed, and opens it where something did", async () => {
  const [results, names] = ranked();
  const folded = "No setting differs from w_mxfp4 by more than noise: 100% solved";
  assert(readPage(await gsm8kReport(results, names)).texts("summary").includes(folded));
  const comparisons = results.comparisons.map((c) => ({ ...c, pairs: c.pairs.map((p) => ({ ...p, p_holm: 1e-3 })) }));
  assert(!readPage(await gsm8kReport({ ...results, comparisons }, names)).texts("summary").includes(folded));
});

Deno.test("a page names what is suspect before everything else", async () => {
  const [results, names] = ranked();
  const divergences = results.divergences.map((found, i) =>
    i === 1 ? { ...found, divergence: { ...found.divergence, suspects: divergence(0.02).suspects } } : found
  );
  const page = readPage(await gsm8kReport({ ...results, divergences }, names));
  const [sentence] = page.texts("#first .note.bad");
  assertStringIncludes(sentence!, "Look here before choosing: near computes something that the number formats do not");
  assertStringIncludes(sentence!, "first layer 1 attention (own error 0.02 [-, -]");
  assert(page.texts("#first td").includes("suspect: layer 1 attention"));
});

Deno.test("a comparison's page has the same order", async () => {
  const page = readPage(
    await compareReport(CompareResults.parse({
      schema: "mxoss.compare",
      version: SCHEMA_VERSION,
      mxoss: "1.2.3",
      cost: { a: COST, b: COST },
      bandwidth: null,
      protocol: {
        a: SETTING,
        b: settingResult("w_mxfp4_a_fp8"),
        text: { name: "text", sha256: "c".repeat(64), tokens: 4, sequence_length: 4 },
      },
      divergence: { ...divergence(0.02), suspects: [] },
    })),
  );
  assertMatch(
    page.texts("#first .note")[0]!,
    /^On 4 tokens, B is 0\.020 \[0\.010, 0\.020\] nats of typical KL from A \(mean KL 0\.020 .* confidence each/,
  );
  assertEquals(page.texts("h2"), [
    "Where error comes from",
    "Weights, inputs, outputs",
    "How it adds up",
    "Predictions",
    "Router",
    "Clipping",
    "Cost",
    "Protocol",
  ]);
});

Deno.test("a click on a head sorts a table by numbers, sizes or names, and another one turns it round", async () => {
  const page = readPage(await gsm8kReport(...ranked()));
  page.run();
  const first = () => page.all("#first tbody tr").map((row) => [...row.querySelectorAll("td")][0]!.textContent);
  const heads = page.all("#first th");
  page.fire(heads[4]!, "click");
  assertEquals(first(), ["close", "near", "far", "w_mxfp4"]);
  page.fire(heads[4]!, "click");
  assertEquals(first(), ["w_mxfp4", "far", "near", "close"]);
  assertEquals(heads[4]!.getAttribute("aria-sort"), "descending");
  page.fire(heads[1]!, "click");
  assertEquals(first(), ["close", "near", "far", "w_mxfp4"], "what has no number comes last");
});

Deno.test("a table is sorted by less and more than a number, too", () => {
  const cells = [">99.99%", "100.00%", "<0.01%", "0.01%", "0.00%", "99.99%"];
  const rows = cells.map((cell) => `<tr><td>${cell.replace("<", "&lt;")}</td></tr>`).join("");
  const page = readPage(`<table class="sort"><thead><tr><th>x</th></tr></thead><tbody>${rows}</tbody></table>`);
  page.run();
  page.fire(page.all("th")[0]!, "click");
  assertEquals(page.texts("td"), ["0.00%", "<0.01%", "0.01%", "99.99%", ">99.99%", "100.00%"]);
});

Deno.test("heatTable() colours on a continuous scale, with the number in each cell", () => {
  const of = (value: number | null, low: number | null = null, high: number | null = null) => ({ value, low, high });
  const rows = [
    { name: "a", values: [of(1e-3), of(0.1, 0.098, 0.103), of(0, 0, 0)] },
    { name: "b", values: [of(0.01, 0.002, 0.03), of(null), undefined] },
  ];
  const page = readPage(heatTable({ what: "layer", columns: ["0", "1", "2"], rows }));
  // Two digits, or one where the interval leaves no more sure; the interval stands in the title.
  assertEquals(page.texts("td"), ["0.001", "0.10", "0", "0.01", "not finite", ""]);
  assertEquals(page.all("td")[1]!.getAttribute("title"), "a, 1: 0.100 [0.098, 0.103]");
  assertEquals(page.all("td").map((cell) => cell.getAttribute("style")), [
    "--v: 0%",
    "--v: 100%",
    null,
    "--v: 50%",
    "--v: 100%",
    null,
  ]);
  assertEquals(page.texts("p.soft"), ["0.0010.1"]);
});

Deno.test("a logarithmic axis ends with its values, and its ticks lie inside", () => {
  for (const values of [[1e-10, 3e-4], [0.011, 0.013], [2e-3, 5e-2], [7], [1e-7, 1e-1, 1e-2]]) {
    const { domain: [low, high], ticks } = decades(values);
    assert(low! <= Math.min(...values) && low! > Math.min(...values) / 2);
    assert(high! >= Math.max(...values) && high! < 2 * Math.max(...values));
    assert(ticks.every((tick) => tick >= low! && tick <= high!), `${ticks}`);
  }
});

Deno.test("pictures of a page in docs are those that their tool draws, each small", async () => {
  for (const { name, width, height } of PICTURES) {
    const bytes = await Deno.readFile(new URL(`../../docs/pictures/${name}`, import.meta.url));
    assert(bytes.length < 200_000, `${name}: ${bytes.length} bytes`);
    const header = new DataView(bytes.buffer);
    assertEquals([header.getUint32(16), header.getUint32(20)], [width, height], name);
  }
});

Deno.test("a plot of KL has no empty decades where a setting predicts exactly the same", async () => {
  const artist = await openArtist();
  const named = [0, 0.02, 0.05].map((error, i) => ({ label: `s${i}`, ...compared(error) }));
  const names = named.map(({ label }) => ({ model: null, scheme: label, kvCacheDtype: null, tp: null, ep: null }));
  const plot = readPage(distancePlot(artist, { named, ...arrange(named, names) }));
  const ticks = plot.texts("text").map(Number).filter((tick) => tick > 0);
  assert(ticks.length > 0 && ticks.every((tick) => tick >= 1e-3), `${ticks}`);
});
