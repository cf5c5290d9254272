/** A small bench: bytes that the device reads a second, and decoding of the embedded model and of one wide layer. */
import { NUMBER_FORMAT } from "../../kernels/abi/types.ts";
import { OWN_MODEL, ownPath } from "../own_files.ts";
import { bytesText } from "../amounts.ts";
import { groupOf, NO_QUANTIZE } from "../backends/gpu/abi.ts";
import { Calls } from "../backends/gpu/calls.ts";
import type { KernelSet } from "../backends/gpu/kernels.ts";
import type { GpuLinear } from "../backends/gpu/tensors.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { randomCheckpoint } from "../checkpoint/random/checkpoint.ts";
import { type Shape, SHAPES } from "../checkpoint/random/layouts.ts";
import { reason } from "../errors.ts";
import { openSetting } from "../session/open.ts";
import type { Session } from "../session/session.ts";
import { DEFAULTS, planSetting } from "../session/setting.ts";
import type { Place } from "./model.ts";
import type { SpeedResult } from "./results.ts";

/** How much is measured. */
export interface SpeedSizes {
  /** Bytes of weights that one kernel reads. */
  readonly readBytes: number;
  /** The wide model. */
  readonly wide: Shape;
  /** Steps of one run of decoding. */
  readonly steps: number;
}

/** What takes a GPU some seconds: one layer of gpt-oss-20b, its vocabulary with it. */
const SIZES: SpeedSizes = { readBytes: 2 ** 29, wide: { ...SHAPES["gpt-oss-20b"], layers: 1 }, steps: 64 };

/** Runs of each measurement, after one that is not counted. */
const RUNS = 5;
/** Columns of the matrix that is read. */
const COLS = 4096;
/** Positions before the first decoded token. */
const FROM = 128;

/** One measurement. */
export interface SpeedCheck {
  readonly what: string;
  run(): Promise<SpeedResult>;
}

/** The measurements, in the order in which they are made. */
export function speedChecks(place: Place, kernels: KernelSet, sizes: SpeedSizes = SIZES): SpeedCheck[] {
  const tiny = () => openCheckpoint(ownPath(OWN_MODEL), {});
  const wide = () => randomCheckpoint({ shape: sizes.wide, layout: "hf_mxfp4" });
  const check = (what: string, unit: SpeedResult["unit"], run: () => number[] | Promise<number[]>): SpeedCheck => ({
    what,
    run: async () => {
      try {
        const runs = await run();
        return { what, value: runs.toSorted((a, b) => a - b)[Math.floor(runs.length / 2)]!, unit, runs, problem: null };
      } catch (thrown) {
        return { what, value: null, unit, runs: [], problem: reason(thrown) };
      }
    },
  });
  const layers = `${sizes.wide.layers} layer${sizes.wide.layers === 1 ? "" : "s"} ${sizes.wide.hidden} wide`;
  return [
    check(`read ${bytesText(sizes.readBytes)} of weights`, "GB/s", () => read(kernels, sizes.readBytes)),
    check("decode, embedded model, bf16", "tok/s", () => decode(place, tiny(), sizes.steps)),
    check(`decode, random weights, ${layers}, bf16`, "tok/s", () => decode(place, wide(), sizes.steps)),
  ];
}

/** GB/s of the kernel that multiplies one row with bf16 weights. */
function read(kernels: KernelSet, bytes: number): number[] {
  const { device } = kernels;
  using stream = device.createStream();
  using weights = device.allocate(bytes);
  const rows = Math.floor(bytes / (2 * COLS));
  using rest = device.allocate(4 * (COLS + rows));
  stream.fill(weights.range(), 0);
  stream.fill(rest.range(), 0);
  const linear: GpuLinear = {
    ...{ rows, cols: COLS, weight: weights.range(), scale: null, bias: null, rowStride: 2 * COLS, scaleStride: 0 },
    ...{ tensorScale: 1, biasFormat: NUMBER_FORMAT.bf16, flags: 0, format: "bf16", suffix: "bf16" },
    ...{ input: { kind: "none" }, multipliesCodes: false },
  };
  const input = { xRows: null, norm: null, normFormat: NUMBER_FORMAT.bf16, eps: 0, ...NO_QUANTIZE, round: false };
  const group = groupOf([linear], [{ range: rest.range(4 * COLS), stride: rows }]), calls = new Calls(stream, kernels);
  using start = device.createEvent();
  using end = device.createEvent();
  const run = () => {
    stream.record(start);
    calls.launch("linear", {
      ...{ group, in: { x: rest.range(0, 4 * COLS), xStride: COLS, ...input }, round: false, accumulate: false, n: 1 },
    }, "linear_bf16");
    stream.record(end);
    stream.synchronize();
    return 2 * COLS * rows / end.millisecondsSince(start) / 1e6;
  };
  run();
  return Array.from({ length: RUNS }, run);
}

/** Tokens a second of one sequence, picked on the device. */
async function decode({ backend, device, hipLibrary, gpu }: Place, checkpoint: Checkpoint, steps: number) {
  const context = FROM + (RUNS + 2) * steps;
  const setting = planSetting({ ...DEFAULTS, backend, device, hipLibrary, checkpoint });
  const session = await openSetting(setting, { slots: 1, context }, undefined, gpu);
  try {
    await session.pretend(0, FROM);
    const rates: number[] = [];
    for (let run = 0; run <= RUNS; run++) rates.push(await rate(session, FROM + run * steps, steps));
    return rates.slice(1);
  } finally {
    await session.close();
  }
}

async function rate({ engine }: Session, position: number, steps: number): Promise<number> {
  const started = performance.now();
  await engine.decode!({
    batch: { ids: Int32Array.of(17), slots: Int32Array.of(0), positions: Int32Array.of(position) },
    steps,
    sampling: [{ temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) }],
    onTokens: () => true,
  });
  return 1000 * steps / (performance.now() - started);
}
