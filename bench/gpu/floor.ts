/**
 * How fast the weights of one token's experts could be read at most, by launches that do nothing else: a chain as in a
 * step of gpt-oss-20b, of which a small launch chooses four of 32 experts, the next one reads all bytes of their
 * gate_up, and the third one those of their down, each beginning before the one ahead has ended. Beside it, in the same
 * chain, the kernels that multiply (kernels/expert_one.hip, kernels/expert_mlp.hip).
 *
 *     deno run -A bench/gpu/floor.ts [--ptx FILE] [--best 6] [--kernels DIR[:DIR],...] [--no-ways] [--json]
 *     deno run -A bench/gpu/floor.ts --compile FILE     only compiles (clang-22), for a machine without a compiler
 *
 * What a launch takes is what a chain takes longer with it than without. All ways of reading are timed, the fastest in
 * all pairs of one for gate_up and one for down, and the fastest pairs once more by turns, with the intervals of their
 * medians.
 */
import { parseArgs } from "node:util";
import type { Graph, Kernel } from "../../ffi/runtime.ts";
import { mlpStateWords } from "../../kernels/abi/experts.ts";
import { compileArguments } from "../../kernels/sources.ts";
import { STEP_SHARED_PERCENT } from "../../src/backends/gpu/calls.ts";
import { committedKernels, KernelSet } from "../../src/backends/gpu/kernels.ts";
import { type Spread, spreadOf, spreadText } from "../../src/bench/spread.ts";
import { openFirstGpu } from "../../tests/kernels/first_gpu.ts";
import { countOf, optionsOrEnd } from "../options.ts";
import { type Way, ways } from "./floor_ways.ts";
import { Harness, type Launch, pattern } from "./harness.ts";
import * as s from "./shapes.ts";

const { values: flags } = parseArgs({
  options: {
    ptx: { type: "string" },
    compile: { type: "string" },
    best: { type: "string", default: "6" },
    kernels: { type: "string" },
    "no-ways": { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

const best = optionsOrEnd(() => countOf("--best", flags.best));

async function compile(to: string): Promise<void> {
  const args = compileArguments("sm_90a", { name: "floor", source: "../bench/gpu/floor.hip", defines: [] }, to);
  const { success } = await new Deno.Command("clang-22", { args, cwd: new URL("../../kernels/", import.meta.url) })
    .spawn().status;
  if (!success) Deno.exit(1);
}
if (flags.compile !== undefined) {
  await compile(await Deno.realPath(".") + "/" + flags.compile);
  Deno.exit(0);
}
const ptx = flags.ptx ?? await Deno.makeTempFile();
if (flags.ptx === undefined) await compile(ptx);

/** Layers of a chain, and how many have weights of their own: more than L2 holds. */
const LAYERS = 24, SETS = 6, REPLAYS = 8;
const runtime = openFirstGpu();
if (typeof runtime === "string") throw new Error(runtime);
using device = runtime.open(0);
const folders = flags.kernels?.split(",") ?? [undefined];
/** gate_up's kernel from one folder and down's from another one, where two are named. */
const sets = folders.map((named) => {
  const [up, down] = named?.split(":") ?? [];
  const of = (folder: string | undefined) => new KernelSet(device, committedKernels(folder));
  return { up: of(up), down: of(down ?? up) };
});
using h = new Harness(device, sets[0]!.up, "");
using alike = device.loadModule(Deno.readFileSync(ptx), "floor.ptx");
using whole = device.loadModule(Deno.readFileSync(ptx), "floor.ptx");
const modules = { [STEP_SHARED_PERCENT]: alike, 100: whole };
const { multiprocessors } = device.properties;

/** A launch in a chain, of a kernel that was told how to divide L1. */
type Step = Omit<Launch, "entry"> & { readonly kernel: Kernel; readonly threads: number };
const matrices = {
  up: s.linears(h, "mxfp4", 2 * s.I, s.H, SETS * s.EXPERTS),
  down: s.linears(h, "mxfp4", s.H, s.I, SETS * s.EXPERTS),
};
type Product = keyof typeof matrices;
const ids = Array.from({ length: SETS }, () => h.memory(64)), state = h.memory(4), sink = h.memory(4);
const words = Array.from({ length: LAYERS }, () => h.memory(8));
const everyone = s.i32s(h, Array.from({ length: s.EXPERTS }, (_, i) => i));

/** Dynamic shared memory that a block of any kernel here may have. */
const mostShared = device.properties.sharedBytesPerBlock - 1024, known = new Map<string, Kernel>();
/** A kernel that is told how to divide L1: of a module for each division, as a recording may look it up late. */
function kernelOf(entry: string, percent: Way["percent"]): Kernel {
  const key = `${entry} ${percent}`;
  let kernel = known.get(key);
  if (kernel === undefined) {
    kernel = modules[percent].kernel(entry);
    kernel.allowSharedBytes(mostShared);
    kernel.preferSharedPercent(percent);
    known.set(key, kernel);
  }
  return kernel;
}

const choose = (layer: number, percent: Way["percent"]): Step => ({
  kernel: kernelOf("floor_choose", percent),
  ...{ grid: [1, 1, 1], threads: 32, lds: 0 },
  args: (w) => w.pointer(state).pointer(ids[layer % SETS]!).pointer(words[layer]!),
});

/** How a launch reads; see the modes of floor.hip. */
interface Read {
  readonly way: Way;
  readonly product: Product;
  readonly polls?: boolean;
  readonly clears?: boolean;
  /** All experts instead of the chosen ones: what long reading gets. */
  readonly all?: boolean;
}

function read(layer: number, { way, product, polls = false, clears = false, all = false }: Read): Step {
  const set = layer % SETS,
    first = matrices[product][set * s.EXPERTS]!,
    second = matrices[product][set * s.EXPERTS + 1]!;
  const stride = (of: "weight" | "scale") => second[of]!.offset - first[of]!.offset;
  const mode = (product === "up" ? 1 : 0) + (polls ? 2 : 0) + (clears ? 4 : 0) + (way.strides ? 8 : 0);
  return {
    kernel: kernelOf(way.entry, way.percent),
    ...{ grid: [way.blocks * multiprocessors, 1, 1], threads: way.threads, lds: way.lds },
    args: (w) =>
      w.struct().pointer(first.weight).pointer(first.scale).i64(stride("weight")).i64(stride("scale"))
        .pointer(all ? everyone : ids[set]!).pointer(words[layer]!).pointer(sink)
        .i32(all ? s.EXPERTS : s.TOP_K).i32(mode).i32(way.chunk).i32(way.places).end(),
  };
}

const x = h.memory(s.H * 4, pattern("f32", 65536)), activated = h.memory(s.TOP_K * s.I * 4, pattern("f32", 65536));
const weights = h.memory(16, pattern("f32", 16)), out = h.memory(s.H * 4), unused = h.memory(s.TOP_K * s.I * 4);
const records = (["up", "down"] as const).map((product) =>
  Array.from(
    { length: SETS },
    (_, l) => s.expertRecords(h, matrices[product].slice(l * s.EXPERTS, (l + 1) * s.EXPERTS)),
  )
);
/** A launch of a kernel that multiplies, as src/backends/gpu/calls.ts makes it. */
function multiplying(of: KernelSet, entry: string, args: Step["args"]): Step {
  const { traits: { threads, ldsPerColumn, ldsFixed }, kernel } = of.get(entry), lds = ldsFixed + ldsPerColumn * s.H;
  kernel.allowSharedBytes(lds);
  kernel.preferSharedPercent(STEP_SHARED_PERCENT);
  return { kernel, ...{ grid: [multiprocessors, 1, 1], threads, lds }, args };
}
const UP = "expert_up_mxfp4_one", DOWN = "expert_down_combine_mxfp4_one", MLP = "expert_mlp_mxfp4_one";
const multiply = (of: KernelSet, layer: number, product: Product): Step =>
  multiplying(of, product === "up" ? UP : DOWN, (w) => {
    const set = layer % SETS;
    w.pointer(records[product === "up" ? 0 : 1]![set]!);
    if (product === "up") {
      s.input(w, x, s.H, null);
      w.pointer(ids[set]!).i32(0).i32(s.EXPERTS).i32(s.TOP_K).pointer(unused).i32(s.I).i32(1).i32(1).f32(1.702).f32(7)
        .i32(2 * s.I).i32(s.H);
    } else {
      s.input(w, activated, s.I, null);
      w.pointer(ids[set]!).pointer(weights).i32(0).i32(s.EXPERTS).i32(s.TOP_K).pointer(out).i32(s.H).i32(1).i32(1)
        .pointer(null).pointer(null).i32(0).i32(1).pointer(null).i32(s.H).i32(s.I);
    }
  });
/** What blocks of the kernel of both products tell one another by, of a layer. */
const states = Array.from({ length: LAYERS }, () => h.memory(4 * mlpStateWords(s.TOP_K, s.I)));
const multiplyBoth = (of: KernelSet, layer: number): Step =>
  multiplying(of, MLP, (w) => {
    const set = layer % SETS;
    for (const product of records) w.pointer(product[set]!);
    s.input(w, x, s.H, null);
    w.pointer(ids[set]!).pointer(weights).i32(0).i32(s.EXPERTS).i32(s.TOP_K).pointer(out).i32(1).f32(1.702).f32(7)
      .pointer(states[layer]!).i32(s.H).i32(s.H).i32(s.I);
  });

function recorded(chain: (layer: number) => readonly Step[]): Graph {
  const writer = device.createArguments();
  const enqueue = () => {
    for (let layer = 0; layer < LAYERS; layer++) {
      for (const [i, { kernel, grid, threads, lds, args }] of chain(layer).entries()) {
        args(writer.reset());
        h.stream.launch(kernel, { grid, threads, sharedBytes: lds, overlaps: layer + i > 0 }, writer);
      }
    }
  };
  enqueue();
  h.stream.synchronize();
  return h.stream.capture(enqueue);
}

/** Microseconds of a layer. */
const once = (graph: Graph): number => h.replay(graph, REPLAYS) / LAYERS;
function time(chain: (layer: number) => readonly Step[]): Spread {
  using graph = recorded(chain);
  return spreadOf(Array.from({ length: 7 }, () => once(graph)));
}
/** Several chains by turns. */
function byTurns(chains: readonly ((layer: number) => readonly Step[])[], rounds: number): Spread[] {
  const graphs = chains.map(recorded), times = graphs.map((): number[] => []);
  for (let i = 0; i < rounds; i++) graphs.forEach((graph, k) => times[k]!.push(once(graph)));
  graphs.forEach((graph) => graph[Symbol.dispose]());
  return times.map(spreadOf);
}

const BYTES = { up: s.TOP_K * s.matrixBytes("mxfp4", 2 * s.I, s.H), down: s.TOP_K * s.matrixBytes("mxfp4", s.H, s.I) };
const us = (value: number): string => value.toFixed(2).padStart(6);
const all = flags["no-ways"] ? [] : ways(device.properties.sharedBytesPerBlock), results: Record<string, unknown> = {};
const only = new Map<Way["percent"], number>();
const alone = (percent: Way["percent"]): number => {
  if (!only.has(percent)) only.set(percent, time((layer) => [choose(layer, percent)]).median);
  return only.get(percent)!;
};

console.log(
  `${device.properties.name}; the choice alone ${
    us(alone(STEP_SHARED_PERCENT))
  } us a layer; gate_up ${BYTES.up} bytes, down ${BYTES.down}`,
);
console.log("\none product after the choice, us: gate_up, down, and bytes/s of all experts' gate_up in one launch");
const single = all.map((way) => {
  const before = alone(way.percent);
  const of = (product: Product) => time((l) => [choose(l, way.percent), read(l, { way, product })]).median - before;
  const long = time((l) => [choose(l, way.percent), read(l, { way, product: "up", all: true })]).median - before;
  const found = { way, up: of("up"), down: of("down"), rate: BYTES.up / s.TOP_K * s.EXPERTS / long / 1e6 };
  console.log(`  ${way.name.padEnd(44)} ${us(found.up)} ${us(found.down)}  ${us(found.rate)} TB/s`);
  return found;
});
results["single"] = single;

const fastest = single.toSorted((a, b) => a.up - b.up).slice(0, best).map(({ way }) => way);
/** gate_up as one of the fastest reads it, and down in any way that divides L1 alike. */
const pairs = fastest.flatMap((up) =>
  all.filter((down) => down.percent === up.percent).map((down) => ({
    ...{ up, down },
    both: time((l) => [
      choose(l, up.percent),
      read(l, { way: up, product: "up" }),
      read(l, { way: down, product: "down" }),
    ]).median - alone(up.percent),
  }))
).sort((a, b) => a.both - b.both);
console.log("\nboth, the fastest pairs, us together");
for (const { up, down, both } of pairs.slice(0, 12)) console.log(`  ${us(both)}  ${up.name}; ${down.name}`);
results["pairs"] = pairs;

const named: { name: string; chain: (layer: number) => readonly Step[] }[] = [
  { name: "the choice", chain: (l) => [choose(l, STEP_SHARED_PERCENT)] },
  { name: "the choice, 100 %", chain: (l) => [choose(l, 100)] },
  ...sets.flatMap((of, k) =>
    (["up", "both"] as const).map((what) => ({
      name: `expert_one.hip, ${what}${folders[k] === undefined ? "" : `, ${folders[k]}`}`,
      chain: (l: number) => [
        choose(l, STEP_SHARED_PERCENT),
        multiply(of.up, l, "up"),
        ...(what === "both" ? [multiply(of.down, l, "down")] : []),
      ],
    }))
  ),
  ...sets.flatMap((of, k) =>
    of.up.has(MLP)
      ? [{
        name: `expert_mlp.hip${folders[k] === undefined ? "" : `, ${folders[k]}`}`,
        chain: (l: number) => [choose(l, STEP_SHARED_PERCENT), multiplyBoth(of.up, l)],
      }]
      : []
  ),
  ...pairs.slice(0, 3).flatMap(({ up, down }) =>
    [false, true].flatMap((polls) => {
      const name = `${up.name}; ${down.name}${polls ? "; the choice looked for" : ""}`, first = { way: up, polls };
      return [
        // Without down, nobody would take the word away.
        ...(polls ? [] : [{
          name: `${name}, up`,
          chain: (l: number) => [choose(l, up.percent), read(l, { ...first, product: "up" })],
        }]),
        {
          name: `${name}, both`,
          chain: (l: number) => [
            choose(l, up.percent),
            read(l, { ...first, product: "up" }),
            read(l, { way: down, product: "down", clears: polls }),
          ],
        },
      ];
    })
  ),
];
const turns = byTurns(named.map(({ chain }) => chain), 25);
console.log("\nby turns, us a layer with the choice, and without it");
const base = turns[0]!.median;
named.forEach(({ name }, i) => console.log(`  ${spreadText(turns[i]!)}  ${us(turns[i]!.median - base)}  ${name}`));
for (const { up, down } of sets) for (const set of [up, down]) set[Symbol.dispose]();
results["turns"] = named.map(({ name }, i) => ({ name, ...turns[i]! }));
if (flags.json) console.log(JSON.stringify(results));
