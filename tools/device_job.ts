/**
 * What the GPU backend has to show on a machine with a GPU, in one program that needs nothing but Deno and this
 * repository:
 *
 *     deno run -A tools/device_job.ts [--backend cuda] [--parts devices,goldens,schemes,operations,bench]
 *         [--filter TEXT] [--layers 24] [--prefill 2048] [--chunk 512] [--dir DIR] [--out FILE.json] [--no-matrix]
 *         [--hip-library FILE] [--kernels DIR] [--no-overlap] [--sequences 1,4,16,64,256] [--profiled 16,64,256]
 *
 * `goldens` compares the embedded model with Hugging Face's logits, `schemes` under every scheme; `operations` runs the
 * operation list against the reference backend; `bench` writes a checkpoint of random weights in the shape of
 * gpt-oss-20b to `--dir` and measures loading, prefill and decode; `batches`, after it, measures decoding of many
 * sequences with those weights. tools/device_job.sh packs and runs all this on a machine without a network.
 */
import { parseArgs } from "node:util";
import { asset } from "../src/assets.ts";
import { GpuEngine } from "../src/backends/gpu/engine.ts";
import { findGpus, formatReports, openGpuLibrary } from "../src/backends/gpu/devices.ts";
import { committedKernels } from "../src/backends/gpu/kernels.ts";
import { type GpuOptions, openGpu } from "../src/backends/gpu/open.ts";
import { openReference } from "../src/backends/reference/open.ts";
import { type Checkpoint, openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import { reason } from "../src/errors.ts";
import { type TensorName, workspace } from "../src/model/gpt_oss.ts";
import { Session } from "../src/session/session.ts";
import type { OpenRequest } from "../src/model/backend.ts";
import { floats, integers, readGolden } from "../tests/golden.ts";
import { planModel } from "../src/plan/planned.ts";
import { SCHEME_GOLDENS } from "../tests/model/scheme_goldens.ts";
import { argmaxAgreement, logitsOf, rmsDistance } from "../tests/model/tiny.ts";
import { compareBackends, OPERATION_CASES } from "../tests/backends/operations.ts";
import { choiceOf, choicesOf, countOf, countsOf, optionsOrEnd } from "./options.ts";
import { benchmarkBatches } from "./device_batches.ts";
import { benchmark } from "./device_bench.ts";
import { SHAPES } from "../src/checkpoint/random/layouts.ts";

/** Parts, in the order of the file. */
const PARTS = ["devices", "goldens", "schemes", "operations", "batches", "bench"] as const;

const { flags, kind, layers, prefill, chunk, sequences, profiled, chosen } = optionsOrEnd(() => {
  const { values: flags } = parseArgs({
    options: {
      backend: { type: "string", default: "cuda" },
      parts: { type: "string", default: "devices,goldens,schemes,operations,bench" },
      filter: { type: "string", default: "" },
      layers: { type: "string", default: "24" },
      prefill: { type: "string", default: "2048" },
      chunk: { type: "string", default: "512" },
      dir: { type: "string", default: "/tmp/random-gpt-oss" },
      out: { type: "string" },
      "no-matrix": { type: "boolean", default: false },
      "hip-library": { type: "string" },
      kernels: { type: "string" },
      sequences: { type: "string", default: "1,4,16,64,256" },
      profiled: { type: "string", default: "16,64,256" },
      "no-overlap": { type: "boolean", default: false },
    },
  });
  // Sizes of batches; none where the text is empty.
  const sizes = (name: "sequences" | "profiled", most: number) => {
    const all = flags[name] === "" ? [] : countsOf(`--${name}`, flags[name]), large = all.find((n) => n > most);
    if (large === undefined) return all;
    throw new TypeError(`--${name}: expected numbers up to ${most}, the largest of --sequences, got "${large}"`);
  };
  const sequences = sizes("sequences", Infinity);
  return {
    ...{ flags, sequences },
    // There is memory for the sequences that are decoded.
    profiled: sizes("profiled", Math.max(0, ...sequences)),
    kind: choiceOf("--backend", flags.backend, ["cuda", "hip"]),
    layers: countOf("--layers", flags.layers),
    prefill: countOf("--prefill", flags.prefill),
    chunk: countOf("--chunk", flags.chunk),
    chosen: choicesOf("--parts", flags.parts, PARTS),
  };
});
const options: GpuOptions = {
  matrix: !flags["no-matrix"],
  overlap: !flags["no-overlap"],
  ...(flags.kernels === undefined ? {} : { kernels: committedKernels(flags.kernels) }),
};
const openLibrary = () => openGpuLibrary(kind, flags["hip-library"]);
const results: Record<string, unknown> = { backend: kind };
let failures = 0;

function check(ok: boolean, what: string): void {
  console.log(`${ok ? "ok  " : "FAIL"} ${what}`);
  if (!ok) failures++;
}

async function open(checkpoint: Checkpoint, dtype: "f32" | "bf16", sizes: Partial<OpenRequest> = {}) {
  const { config, source } = checkpoint;
  const request: OpenRequest<TensorName> = {
    source,
    config,
    dtype,
    kvFormat: dtype,
    maxTokens: 128,
    slots: 2,
    context: 1024,
    ...sizes,
    tensors: workspace(config, source),
  };
  const backend = await openGpu(request, openLibrary(), options);
  const engine = new GpuEngine(backend, config);
  const session = new Session(engine, {
    slots: request.slots,
    context: request.context,
    maxTokens: request.maxTokens,
    vocab: config.vocab,
  });
  return { backend, engine, session };
}

const largest = (logits: Float32Array) => logits.reduce((best, x, i) => x > logits[best]! ? i : best, 0);

async function goldens(): Promise<void> {
  const checkpoint = await openCheckpoint(asset("models/tiny-gpt-oss").pathname, {});
  const file = readGolden(asset("tests/goldens/logits.safetensors").pathname);
  const { vocab } = checkpoint.config;
  const prompt = integers(file, "greedy.prompt"), reply = integers(file, "greedy.reply");
  for (const dtype of ["f32", "bf16"] as const) {
    const { engine, session } = await open(checkpoint, dtype);
    console.log(`${dtype}: ${engine.info.description}, loaded in ${engine.info.loadMilliseconds.toFixed(0)} ms`);
    results[`description ${dtype}`] = engine.info.description;
    for (const name of ["one_turn", "two_turns", "long"]) {
      const golden = floats(file, `${name}.w_mxfp4`), ids = integers(file, `${name}.ids`);
      const logits = new Float32Array(ids.length * vocab);
      session.reset(0);
      await session.feed({ slot: 0, tokens: ids, logits: "all" }, (p, row) => logits.set(row, p * vocab));
      const part = logits.subarray(logits.length - golden.length);
      const most = part.reduce((m, x, i) => Math.max(m, Math.abs(x - golden[i]!)), 0);
      let same = 0;
      const rows = part.length / vocab;
      for (let r = 0; r < rows; r++) {
        const at = (all: Float32Array) => largest(all.subarray(r * vocab, (r + 1) * vocab));
        if (at(part) === at(golden)) same++;
      }
      results[`${name} ${dtype}`] = { largestDifference: most, sameArgmax: same / rows };
      const fine = dtype === "f32" ? most <= 1e-3 && same === rows : same / rows >= 0.95;
      check(
        fine,
        `${name}, ${dtype}: largest difference ${most.toExponential(2)}, same argmax in ${same} of ${rows} rows`,
      );
    }
    let next = -1;
    session.reset(0);
    await session.feed({ slot: 0, tokens: prompt, logits: "last" }, (_p, row) => next = largest(row));
    session.fork(0, 1);
    const stepped = [next];
    while (stepped.length < reply.length) {
      await session.step([{ slot: 0, token: stepped.at(-1)! }], (_i, row) => stepped.push(largest(row)));
    }
    check(stepped.join() === reply.join(), `greedy reply by replayed steps, ${dtype}`);
    const picked = [next];
    await engine.decode({
      batch: { ids: Int32Array.of(next), slots: Int32Array.of(1), positions: Int32Array.of(prompt.length) },
      steps: reply.length - 1,
      sampling: [{ temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) }],
      onTokens: (ids) => picked.push(ids[0]!) > 0,
    });
    check(picked.join() === reply.join(), `greedy reply picked on the device, ${dtype}`);
    await session.close();
  }
}

/** The schemes' own effects, by the bounds of tests/model/schemes_test.ts. */
async function schemes(): Promise<void> {
  const file = readGolden(asset("tests/goldens/logits.safetensors").pathname);
  const ids = integers(file, "two_turns.ids"), weightOnly = floats(file, "two_turns.w_mxfp4");
  for (const [name, wishes] of SCHEME_GOLDENS) {
    const checkpoint = openCheckpoint(asset("models/tiny-gpt-oss").pathname, {}), { vocab } = checkpoint.config;
    const { source, plan } = planModel(checkpoint, { dtype: "f32", kvCacheDtype: "auto", ...wishes });
    const { session } = await open({ ...checkpoint, source }, "f32", { kvFormat: plan.kvFormat });
    const golden = floats(file, `two_turns.${name}`);
    const logits = (await logitsOf(session, ids)).subarray(ids.length * vocab - golden.length);
    const distance = rmsDistance(logits, golden) / rmsDistance(weightOnly, golden);
    const same = argmaxAgreement(logits, golden, vocab);
    results[`scheme ${name}`] = { distance, sameArgmax: same };
    check(
      distance <= 0.05 && same >= 0.98,
      `${name}, f32: distance ${distance.toExponential(2)} of the scheme's own effect, same argmax in ${
        (100 * same).toFixed(1)
      } %`,
    );
    await session.close();
  }
}

async function operations(): Promise<void> {
  const cases = OPERATION_CASES.filter(({ name }) => name.includes(flags.filter));
  let worst = 0, bad = 0;
  const started = performance.now();
  for (const operation of cases) {
    try {
      const differences = await compareBackends(
        openReference,
        (request) => openGpu(request, openLibrary(), options),
        operation,
      );
      for (const { nmse } of differences) worst = Math.max(worst, nmse);
    } catch (thrown) {
      bad++;
      if (bad <= 20) console.log(`FAIL ${reason(thrown)}`);
    }
  }
  results["operations"] = { cases: cases.length, failed: bad, largestNmse: worst };
  check(
    bad === 0,
    `${cases.length - bad} of ${cases.length} operation cases agree with reference, largest NMSE ${
      worst.toExponential(2)
    }, ` +
      `${((performance.now() - started) / 1000).toFixed(0)} s`,
  );
}

const parts: Readonly<Record<typeof PARTS[number], () => void | Promise<void>>> = {
  devices: () => {
    const reports = findGpus({
      ...options,
      ...(flags["hip-library"] === undefined ? {} : { hipLibrary: flags["hip-library"] }),
    });
    console.log(formatReports(reports).join("\n"));
    results["devices"] = reports;
  },
  goldens,
  schemes,
  operations,
  batches: async () => {
    results["batches"] = await benchmarkBatches({
      openLibrary,
      options,
      dir: flags.dir,
      from: 512,
      steps: 128,
      sequences,
      profiled,
    });
  },
  bench: async () => {
    results["bench"] = await benchmark({
      openLibrary,
      options,
      shape: { ...SHAPES["gpt-oss-20b"], layers },
      steps: 256,
      dir: flags.dir,
      prefill,
      chunk,
    });
  },
};

for (const part of chosen) {
  console.log(`== ${part}`);
  try {
    await parts[part]();
  } catch (thrown) {
    check(false, `${part}: ${thrown instanceof Error ? thrown.stack ?? thrown.message : thrown}`);
  }
  if (flags.out) Deno.writeTextFileSync(flags.out, JSON.stringify(results, null, 1));
}
Deno.exit(failures > 0 ? 1 : 0);
