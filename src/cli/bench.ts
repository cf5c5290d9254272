/** `mxoss bench`: how fast a model is computed here. */
import { UsageError } from "./spelling.ts";
import { bench, type BenchRequest, type BenchSoFar, refuseBench } from "../bench/run.ts";
import { BENCH_SCHEMA, BENCH_VERSION, type BenchResults } from "../bench/figures.ts";
import { machineFacts } from "../bench/machine.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { randomCheckpoint, type RandomModel } from "../checkpoint/random/checkpoint.ts";
import { SHAPES } from "../checkpoint/random/layouts.ts";
import { refuseOut, writeOutFile } from "./places.ts";
import { parseScheme } from "../plan/scheme.ts";
import { type BENCH, DEFAULT_LAYERS, DEFAULT_SHAPE } from "./bench_options.ts";
import { benchLines } from "./bench_tables.ts";
import { EXIT_INTERRUPTED, Interrupt, INTERRUPTED } from "./interrupt.ts";
import { openModel } from "./open_model.ts";
import type { OptionValues, Parsed } from "./options.ts";
import { ProgressBar } from "./progress.ts";
import { choicesOf, loadSetting, planOnce } from "./settings.ts";
import { folded } from "./table.ts";
import { note, writeLines, writeOut } from "./terminal.ts";
import { VERSION } from "./version.ts";

type BenchOptions = OptionValues<typeof BENCH.options>;

/** Runs the command; gives its exit code. */
export async function benchCommand({ options }: Parsed<typeof BENCH.options>): Promise<number> {
  const choices = choicesOf(options),
    { out, force, prefill, contexts, batches, "batch-contexts": batchContexts, seconds } = options;
  if (out !== undefined) refuseOut(out, force);
  const { checkpoint, shape } = await modelOf(options);
  const setting = planOnce({ checkpoint, ...choices });
  if (prefill.length + contexts.length + batches.length === 0) {
    throw UsageError.of(
      "missing",
      { name: "mxoss bench" },
      "something to measure in --prefill, --contexts or --batches",
    );
  }
  const request: BenchRequest = { setting, shape, prefill, contexts, batches, batchContexts, seconds };
  refuseBench(request);

  const machine = machineFacts(), found: BenchSoFar = { computed: null, limits: null, figures: [], skipped: [] };
  using interrupt = new Interrupt();
  const began = performance.now(), ended = await interrupt.race(measured(request, found));
  if (found.computed === null) {
    if (ended === INTERRUPTED) {
      note("interrupted before anything was measured");
      return EXIT_INTERRUPTED;
    }
    const took = Math.ceil((performance.now() - began) / 1000);
    const expected = `more than the ${took} that the machine's own limits took, which are measured first`;
    throw UsageError.of("wrong_value", { option: "seconds" }, expected, seconds);
  }
  const interrupted = ended === INTERRUPTED, { computed, limits, figures, skipped } = found;
  const results: BenchResults = {
    ...{ schema: BENCH_SCHEMA, version: BENCH_VERSION, mxoss: VERSION },
    ...{ machine, computed, limits, figures, skipped, interrupted },
  };
  try {
    if (out !== undefined && !interrupted) {
      const { benchPage } = await import("./bench_page.ts");
      writeOutFile(out, await benchPage(results), force);
    }
  } finally {
    // A disk that has no room for the page does not take with it what was measured.
    await (options.json ? writeOut(`${JSON.stringify(results, null, 2)}\n`) : writeLines(folded(benchLines(results))));
  }
  if (!interrupted) return 0;
  note(`interrupted: ${figures.length} figures were measured${out === undefined ? "" : `, ${out} was not written`}`);
  return EXIT_INTERRUPTED;
}

async function measured(request: BenchRequest, found: BenchSoFar): Promise<void> {
  using bar = new ProgressBar("measuring", "figures");
  await bench(request, { open: loadSetting, onProgress: (done, total, now) => bar.update(done, total, now) }, found);
}

/** The checkpoint that is measured, and its sizes in words where its weights are random. */
async function modelOf(options: BenchOptions): Promise<{ checkpoint: Checkpoint; shape: string | null }> {
  const { model, shape: named, layers, scheme, weights } = options;
  if (model !== undefined) {
    const other = named !== undefined ? "shape" : layers !== undefined ? "layers" : null;
    if (other !== null) throw UsageError.of("contradiction", { option: other }, "without --model, which has its own");
    return { checkpoint: await openModel(model), shape: null };
  }
  if (weights === "map") {
    throw UsageError.of("contradiction", { option: "weights" }, "read without --model: random weights are in no file");
  }
  const name = named ?? DEFAULT_SHAPE, own = SHAPES[name];
  const shape = { ...own, layers: layers ?? Math.min(own.layers, DEFAULT_LAYERS) };
  return { checkpoint: randomCheckpoint({ shape, ...layoutFor(scheme ?? "w_mxfp4") }), shape: name };
}

/** The layout whose weights a scheme computes with, and the scales of its inputs where they are static. */
export function layoutFor(name: string): Omit<RandomModel, "shape"> {
  const { weight, weightScale, inputName } = parseScheme(name);
  if (weight === "bf16") return { layout: "hf_bf16" };
  // The layout of Quark has static scales of inputs.
  const inputScales = inputName === "fp8";
  if (weight === "mxfp4" && !inputScales) return { layout: "hf_mxfp4" };
  const format = weight === "fp8_e4m3" ? weightScale === "row" ? "fp8_channel" : "fp8" : weight;
  if (
    format !== "mxfp4" && format !== "mxfp6_e3m2" && format !== "mxfp6_e2m3" && format !== "fp8" &&
    format !== "fp8_channel"
  ) {
    throw new TypeError(`no random weights of ${weight}`);
  }
  return { layout: "quark", quark: { weights: format, experts: "fused", inputScales } };
}
