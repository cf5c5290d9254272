/**
 * Both linears of one token's experts as one of several ranks has them: by two launches and by one, by turns on one
 * GPU, in the chain of floor.ts. A rank hears itself in place of the others, by memory of its own card. Before, results
 * of both are compared again and again, with other experts each time, as bits.
 *
 *     deno run -A bench/gpu/rank_mlp.ts [--ptx FILE] [--ranks 2x1,4x1,1x2] [--kernels DIR,...] [--checks 200]
 *         [--rounds 15] [--json]
 *
 * A pair of --ranks is tp x ep; FILE is what floor.ts --compile makes; DIR is a folder as kernels/build.
 */
import { parseArgs } from "node:util";
import type { DeviceRange, Graph } from "../../ffi/runtime.ts";
import { mlpRanksCols, mlpStateWords, teamsOf } from "../../kernels/abi/experts.ts";
import { STEP_SHARED_PERCENT } from "../../src/backends/gpu/calls.ts";
import { committedKernels, KernelSet } from "../../src/backends/gpu/kernels.ts";
import { intervalText, medianText, spreadOf } from "../../src/bench/spread.ts";
import { openFirstGpu } from "../../tests/kernels/first_gpu.ts";
import { countOf, optionsOrEnd } from "../options.ts";
import { Harness, pattern } from "./harness.ts";
import * as s from "./shapes.ts";

const { values: flags } = parseArgs({
  options: {
    ptx: { type: "string", default: "floor.ptx" },
    ranks: { type: "string", default: "2x1,4x1,1x2" },
    kernels: { type: "string" },
    checks: { type: "string", default: "200" },
    rounds: { type: "string", default: "15" },
    json: { type: "boolean", default: false },
  },
});
const { checks, rounds, divisions } = optionsOrEnd(() => ({
  checks: countOf("--checks", flags.checks),
  rounds: countOf("--rounds", flags.rounds),
  divisions: flags.ranks.split(",").map((text) => {
    const [tp = "", ep = ""] = text.split("x");
    return { tp: countOf("--ranks", tp), ep: countOf("--ranks", ep) };
  }),
}));

const UP = "expert_up_mxfp4_one", DOWN = "expert_down_combine_mxfp4_one", ONE = "expert_mlp_mxfp4_one";
const RANKS = "expert_mlp_ranks_mxfp4_one";
/** Layers of a chain, and how many have weights of their own: more than L2 holds. */
const LAYERS = 24, SETS = 6, REPLAYS = 8, ROW_NOTES = 4096;
const runtime = openFirstGpu();
if (typeof runtime === "string") throw new Error(runtime);
using device = runtime.open(0);
const folders = flags.kernels?.split(",") ?? [undefined];
const sets = folders.map((folder) => new KernelSet(device, committedKernels(folder)));
using chooser = device.loadModule(Deno.readFileSync(flags.ptx), "floor.ptx");
const choose = chooser.kernel("floor_choose");
choose.preferSharedPercent(STEP_SHARED_PERCENT);
const { multiprocessors } = device.properties;

/** What a chain launches after each choice. */
interface Kind {
  readonly name: string;
  readonly of: KernelSet;
  /** null: nothing. */
  readonly entry: string | null;
}
let different = 0;
const results: unknown[] = [];
for (const { tp, ep } of divisions) {
  using h = new Harness(device, sets[0]!, "");
  const ranks = tp * ep, inner = 32 * Math.ceil(s.I / 32 / tp), count = Math.ceil(s.EXPERTS / ep);
  const matrices = [[2 * inner, s.H], [s.H, inner]].map(([rows, cols]) =>
    s.linears(h, "mxfp4", rows!, cols!, SETS * count)
  );
  const records = matrices.map((all) =>
    Array.from({ length: SETS }, (_, l) => s.expertRecords(h, all.slice(l * count, (l + 1) * count)))
  );
  const x = h.memory(s.H * 4, pattern("f32", 65536)), weights = h.memory(16, pattern("f32", 16));
  const stop = h.memory(4);

  const chain = ({ of, entry }: Kind) => {
    const state = h.memory(4), ids = Array.from({ length: SETS }, () => h.memory(64));
    const words = h.memory(8), activated = h.memory(s.TOP_K * inner * 4), turns = h.memory(4 * multiprocessors);
    const outs = h.memory(LAYERS * s.H * 4), states = h.memory(LAYERS * 4 * mlpStateWords(s.TOP_K, inner));
    const out = (layer: number): DeviceRange => s.ranged(outs, layer * s.H * 4, s.H * 4);
    // What is left for another rank lies where that one's numbers are looked for.
    const inboxes = h.memory(2 * ranks * ROW_NOTES * 8);
    const table = h.records(8 * ranks, (w) => {
      for (let r = 0; r < ranks; r++) w.pointer(s.ranged(inboxes, r * ROW_NOTES * 8, ROW_NOTES * 8));
    });
    const writer = device.createArguments();
    const over = (): void => {
      if (ranks === 1) writer.pointer(null).pointer(null).i32(0).i32(1).pointer(null);
      else writer.pointer(table).pointer(stop).i32(0).i32(ranks).pointer(turns);
    };
    const put = (name: string, cols: number, write: () => void) => {
      const { traits: { threads, ldsPerColumn, ldsFixed }, kernel } = of.get(name);
      const sharedBytes = ldsFixed + ldsPerColumn * cols;
      kernel.allowSharedBytes(sharedBytes);
      kernel.preferSharedPercent(STEP_SHARED_PERCENT);
      writer.reset();
      write();
      h.stream.launch(kernel, { grid: [multiprocessors, 1, 1], threads, sharedBytes, overlaps: true }, writer);
    };
    const chosen = (set: number) => writer.pointer(ids[set]!);
    const enqueue = () => {
      for (let layer = 0; layer < LAYERS; layer++) {
        const set = layer % SETS, [up, down] = records.map((all) => all[set]!);
        writer.reset().pointer(state).pointer(ids[set]!).pointer(words);
        h.stream.launch(choose, { grid: [1, 1, 1], threads: 32, sharedBytes: 0, overlaps: layer > 0 }, writer);
        if (entry === UP) {
          put(UP, s.H, () => {
            writer.pointer(up!);
            s.input(writer, x, s.H, null);
            chosen(set).i32(0).i32(count).i32(s.TOP_K).pointer(activated).i32(inner).i32(1).i32(1).f32(1.702).f32(7)
              .i32(2 * inner).i32(s.H);
          });
          put(DOWN, teamsOf(inner) * inner, () => {
            writer.pointer(down!);
            s.input(writer, activated, inner, null);
            chosen(set).pointer(weights).i32(0).i32(count).i32(s.TOP_K).pointer(out(layer)).i32(s.H).i32(1).i32(0);
            over();
            writer.i32(s.H).i32(inner);
          });
        } else if (entry !== null) {
          put(entry, entry === ONE ? Math.max(s.H, inner) : mlpRanksCols(s.H, inner), () => {
            writer.pointer(up!).pointer(down!);
            s.input(writer, x, s.H, null);
            chosen(set).pointer(weights).i32(0).i32(count).i32(s.TOP_K).pointer(out(layer)).i32(0).f32(1.702).f32(7)
              .pointer(s.ranged(states, layer * 4 * mlpStateWords(s.TOP_K, inner), 4 * mlpStateWords(s.TOP_K, inner)));
            if (entry === RANKS) over();
            writer.i32(s.H).i32(s.H).i32(inner);
          });
        }
      }
    };
    enqueue();
    h.stream.synchronize();
    return { graph: h.stream.capture(enqueue), outs };
  };

  const kinds: readonly Kind[] = [
    { name: "the choice", of: sets[0]!, entry: null },
    ...sets.flatMap((of, k): Kind[] => {
      const where = folders[k] === undefined ? "" : `, ${folders[k]}`;
      return [
        { name: `two launches${where}`, of, entry: UP },
        ...(ranks === 1 && of.has(ONE) ? [{ name: `one launch of one rank${where}`, of, entry: ONE }] : []),
        ...(of.has(RANKS) ? [{ name: `one launch of ranks${where}`, of, entry: RANKS }] : []),
      ];
    }),
  ];
  const chains = kinds.map(chain), times = chains.map((): number[] => []);
  using pinned = device.allocatePinned(LAYERS * s.H * 4);
  const bits = ({ outs }: { outs: DeviceRange }): Uint32Array => {
    h.stream.download(pinned, 0, outs, LAYERS * s.H * 4);
    h.stream.synchronize();
    return new Uint32Array(pinned.view.slice().buffer);
  };
  const compare = (what: string) => {
    const [want, ...others] = chains.slice(1).map(bits);
    others.forEach((got, k) => {
      const wrong = got.reduce((n, v, i) => n + Number(v !== want![i]), 0);
      if (wrong === 0) return;
      different++;
      if (different < 20) {
        const at = got.findIndex((v, i) => v !== want![i]);
        const text = (all: Uint32Array) => new Float32Array(all.buffer)[at];
        console.log(
          `OTHER BITS ${what}: ${kinds[k + 2]!.name}: ${wrong} of ${got.length}; layer ${Math.floor(at / s.H)} ` +
            `row ${at % s.H}: ${text(got)} for ${text(want!)}`,
        );
      }
    });
    return want!;
  };
  const sample = compare("after the first launches"), numbers = new Float32Array(sample.buffer);
  let other = 0;
  for (let i = 0; i < checks; i++) {
    for (const { graph } of chains) h.stream.replay(graph);
    const now = compare(`in check ${i}`);
    if (i === 0) other = now.reduce((n, v, k) => n + Number(v !== sample[k]), 0);
  }
  const rms = Math.sqrt(numbers.reduce((sum, v) => sum + v * v, 0) / numbers.length);
  const replay = (graph: Graph) => h.replay(graph, REPLAYS) / LAYERS;
  for (let i = 0; i < rounds; i++) chains.forEach(({ graph }, k) => times[k]!.push(replay(graph)));
  compare("after the rounds");
  const spreads = times.map(spreadOf),
    bytes = s.TOP_K / ep *
      (s.matrixBytes("mxfp4", 2 * inner, s.H) + s.matrixBytes("mxfp4", s.H, inner));
  console.log(
    `${device.properties.name}, tp ${tp} ep ${ep}, ${inner} columns: ${checks} times ${LAYERS} layers compared, ` +
      `rms ${rms.toPrecision(3)}, ${other} numbers changed from the first to the second; ${bytes} bytes, ` +
      `${(bytes / 3.02e6).toFixed(2)} us at 3.02 TB/s; us a layer with the choice, and without it`,
  );
  kinds.forEach(({ name }, k) => {
    const alone = (spreads[k]!.median - spreads[0]!.median).toFixed(2).padStart(6);
    console.log(`  ${medianText(spreads[k]!)} ${intervalText(spreads[k]!)}  ${alone}  ${name}`);
  });
  results.push({ tp, ep, kinds: kinds.map(({ name }, k) => ({ name, ...spreads[k]! })) });
  chains.forEach(({ graph }) => graph[Symbol.dispose]());
}
for (const set of sets) set[Symbol.dispose]();
if (flags.json) console.log(JSON.stringify({ different, results }));
console.log(different === 0 ? "all bits alike" : `${different} comparisons found other bits`);
if (different > 0) Deno.exit(1);
