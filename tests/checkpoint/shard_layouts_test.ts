/**
 * The parts of all ranks put together are the whole model, bit for bit: random models that do not divide, written in
 * every layout and format, found out and opened as any checkpoint is, cut, and loaded by the backends' own loaders.
 * What is expected are the numbers that were drawn, which none of that code has touched.
 */
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { rankRanges, shardSource } from "../../src/checkpoint/shard.ts";
import type { LinearSource, ModelSource } from "../../src/checkpoint/source.ts";
import { planMemories } from "../../src/backends/emulate/plan.ts";
import { planModel } from "../../src/plan/planned.ts";
import {
  type Format,
  FORMATS,
  type Layout,
  type QuarkOptions,
  type Shape,
} from "../../src/checkpoint/random/layouts.ts";
import { assert, assertEquals } from "../assert.ts";
import { SOAK } from "../soak.ts";
import { TemporaryDirectory } from "./container.ts";
import { type Made, makeCheckpoint, type Numbers, Random } from "./make.ts";
import { type DenseLinear, type DenseMatrix, type DenseTree, loadByEmulate, loadByReference } from "./rank_numbers.ts";
import { type ReadRange, recordReads } from "./recorded_reads.ts";

/** Every failure names the seed that it came from; another one can be tried by MXOSS_TEST_SEED. */
const SEED = Number(Deno.env.get("MXOSS_TEST_SEED") ?? 2880);
const TP = [1, 2, 3, 4, 8], EP = [1, 2, 4];
const BLOCK = 32;

interface Case {
  readonly name: string;
  readonly layout: Layout;
  readonly quark: QuarkOptions;
  /** The layout by which the program must find it. */
  readonly found: Layout;
}

/** Every format of experts meets another format of attention, by turns, in each of Quark's ways to name experts. */
const CASES: readonly Case[] = [
  ...(["hf_mxfp4", "original", "hf_bf16"] as const).map((layout) => ({
    name: layout,
    layout,
    quark: {},
    found: layout,
  })),
  ...(["each", "fused"] as const).flatMap((experts, turn) =>
    FORMATS.map((weights, i): Case => {
      const attention = FORMATS[(i + 1 + 2 * turn) % FORMATS.length]!;
      return {
        name: `quark, experts ${experts === "each" ? "one by one" : "fused"} in ${weights}, attention in ${attention}`,
        layout: "quark",
        quark: { weights, attention, experts, inputScales: true },
        found: "quark",
      };
    })
  ),
  {
    name: "quark, experts in blocks, attention in fp8",
    layout: "quark",
    quark: { experts: "blocks", attention: "fp8", inputScales: true },
    found: "quark",
  },
];

const isMx = (format: Format) => format.startsWith("mx");

/** Formats of experts and attention. */
function formatsOf({ layout, quark }: Case): { experts: Format; attention: Format } {
  if (layout === "quark") return { experts: quark.weights ?? "mxfp4", attention: quark.attention ?? "bf16" };
  return { experts: layout === "hf_bf16" ? "bf16" : "mxfp4", attention: "bf16" };
}

/**
 * Sizes of which few divide by the ranks.
 *
 * @param large As many blocks of intermediate columns as give each of eight ranks some, and the last one fewer, as 2880
 *   columns do; else so few that ranks are left without.
 */
function randomShape(
  random: Random,
  { experts, attention }: { experts: Format; attention: Format },
  large: boolean,
): Shape {
  const kvHeads = 1 + random.below(5);
  const blocks = large ? 15 : 1 + random.below(7);
  const mxHidden = isMx(experts) || isMx(attention);
  return {
    layers: large ? 1 : 2,
    hidden: large ? BLOCK : mxHidden ? BLOCK * (1 + random.below(2)) : 33 + random.below(31),
    // Formats without blocks may end anywhere, but are cut in blocks too.
    intermediate: BLOCK * blocks - (isMx(experts) ? 0 : random.below(BLOCK)),
    experts: 4 + random.below(4),
    topK: 1 + random.below(4),
    heads: kvHeads * (Math.ceil(8 / kvHeads) + random.below(2)),
    kvHeads,
    headDim: isMx(attention) ? BLOCK : 2 * (1 + random.below(8)),
    vocab: large ? 449 + random.below(63) : 1 + random.below(200),
    window: 4,
  };
}

/** How often something came up that a random shape may or may not have. */
const seen = { unevenColumns: 0, noColumns: 0, unevenHeads: 0, sharedKvHeads: 0, noVocabulary: 0, unevenExperts: 0 };

/** Asserts that a part is the rows from `row` and the columns from `col` on of the whole, bit for bit. */
function assertPart(part: DenseMatrix, whole: Numbers | DenseMatrix, row: number, col: number, what: string): void {
  const expected = "values" in whole ? whole.values : whole.weight;
  const a = new Uint32Array(part.values.buffer, part.values.byteOffset, part.values.length);
  const b = new Uint32Array(expected.buffer, expected.byteOffset, expected.length);
  assert(row + part.rows <= whole.rows && col + part.cols <= whole.cols, `${what}: larger than the whole`);
  for (let r = 0; r < part.rows; r++) {
    const from = r * part.cols, to = (row + r) * whole.cols + col;
    for (let c = 0; c < part.cols; c++) {
      if (a[from + c] !== b[to + c]) {
        assertEquals(part.values[from + c], expected[to + c], `${what}: row ${row + r}, column ${col + c}`);
        throw new Error(`${what}: row ${row + r}, column ${col + c}: the sign of 0`);
      }
    }
  }
}

const vector = (values: Float32Array): DenseMatrix => ({ rows: 1, cols: values.length, values });

/** Asserts that vectors, one after the other, are the whole. */
function assertVectors(parts: readonly Float32Array[], whole: Float32Array, what: string): void {
  let at = 0;
  for (const part of parts) {
    assertPart(vector(part), vector(whole), 0, at, what);
    at += part.length;
  }
  assertEquals(at, whole.length, `${what}: length`);
}

/**
 * Asserts that output features with their biases, one rank's after the other's, are the whole; gives where each begins.
 */
function assertRows(parts: readonly DenseLinear[], whole: Numbers, what: string): number[] {
  let at = 0;
  const starts = parts.map((part, i) => {
    // A rank without rows may have lost the columns too.
    if (part.rows > 0) assertEquals(part.cols, whole.cols, `${what}: columns of part ${i}`);
    assertPart(part, whole, at, 0, `${what}, part ${i}`);
    return (at += part.rows) - part.rows;
  });
  assertEquals(at, whole.rows, `${what}: rows`);
  if (whole.bias) assertVectors(parts.map(({ bias }) => bias ?? new Float32Array(0)), whole.bias, `${what}: bias`);
  else assert(parts.every(({ bias }) => bias === null), `${what}: a bias`);
  return starts;
}

/**
 * Asserts that input features, side by side, are the whole, and that the first rank alone has the bias; gives where
 * each begins.
 */
function assertColumns(parts: readonly DenseLinear[], whole: Numbers, what: string): number[] {
  let at = 0;
  const starts = parts.map((part, i) => {
    assertEquals(part.rows, whole.rows, `${what}: rows of part ${i}`);
    assertPart(part, whole, 0, at, `${what}, part ${i}`);
    return (at += part.cols) - part.cols;
  });
  assertEquals(at, whole.cols, `${what}: columns`);
  assertEquals(parts.map(({ bias }) => bias !== null), parts.map((_, i) => i === 0), `${what}: bias on the first rank`);
  assertVectors([parts[0]!.bias!], whole.bias!, `${what}: bias`);
  return starts;
}

/** A checkpoint that was written and opened again. */
interface Opened {
  readonly made: Made;
  readonly checkpoint: Checkpoint;
  /** With what happens to inputs. */
  readonly source: ModelSource;
  /** Experts of each byte of each file, by path; see {@linkcode ownersOf}. */
  readonly owners: ReadonlyMap<string, Int16Array>;
}

const VECTOR_BYTES = { bf16: 2, f16: 2, f32: 4 } as const;

/** Whose each byte of the files is: number of the expert, or -1 for everything that is no expert's. */
function ownersOf(source: ModelSource): Map<string, Int16Array> {
  const owners = source.files.map(({ bytes }) => new Int16Array(bytes).fill(-1));
  const mark = (expert: number, { weight: w, bias }: LinearSource) => {
    owners[w.file]!.fill(expert, w.offset, w.offset + (w.transposed ? w.cols : w.rows) * w.rowStride);
    if (w.scale.kind === "e8m0") {
      const { file, offset, rowStride } = w.scale;
      owners[file]!.fill(expert, offset, offset + w.rows * rowStride);
    }
    if (bias) owners[bias.file]!.fill(expert, bias.offset, bias.offset + bias.length * VECTOR_BYTES[bias.format]);
  };
  for (const { gateUp, down } of source.tree.layers) {
    gateUp.forEach((l, e) => mark(e, l));
    down.forEach((l, e) => mark(e, l));
  }
  return new Map(source.files.map(({ path }, i) => [path, owners[i]!]));
}

/** Asserts that nothing that was read is a byte of an expert other than the rank's own. */
function assertOwnExperts(
  reads: readonly ReadRange[],
  { owners, made }: Opened,
  own: ReadonlySet<number>,
  what: string,
): void {
  assert(reads.length > 0 && made.linears.size > 0, `${what}: nothing was read`);
  for (const { path, offset, bytes } of reads) {
    for (const owner of owners.get(path)!.subarray(offset, offset + bytes)) {
      if (owner >= 0 && !own.has(owner)) {
        throw new Error(`${what}: reads bytes of expert ${owner} in ${bytes} bytes from ${offset} of ${path}`);
      }
    }
  }
}

/** Adds 1 for each byte of the files that a rank wants of them, ranges between the rows of its columns left out. */
function countBytes(source: ModelSource, counts: readonly Uint8Array[]): void {
  const { runs, strided } = planMemories({ source, areasEnd: 0, cacheBytes: () => 0, mapped: false }).memories[0]!;
  const add = (file: number, offset: number, bytes: number) => {
    const count = counts[file]!;
    for (let i = offset; i < offset + bytes; i++) count[i]!++;
  };
  for (const { file, offset, bytes } of runs) add(file, offset, bytes);
  for (const { file, offset, pieces, pieceBytes, stride } of strided) {
    for (let i = 0; i < pieces; i++) add(file, offset + i * stride, pieceBytes);
  }
}

/** Checks the ranks' parts as one loader gives them. */
function checkNumbers(opened: Opened, tp: number, ep: number, ranks: readonly DenseTree[], label: string): void {
  const { made, checkpoint: { config }, source } = opened;
  const ranges = ranks.map((_, rank) => rankRanges(config, { tp, ep }, rank));
  const groups = Array.from({ length: ep }, (_, group) => ranks.slice(group * tp, (group + 1) * tp));
  const rangesOf = (group: number) => ranges.slice(group * tp, (group + 1) * tp);
  const numbers = (module: string) => made.linears.get(module)!;
  const other = (name: string) => made.others.get(name)!;

  for (const [group, members] of groups.entries()) {
    const cuts = rangesOf(group), at = `${label}, group ${group}`;
    const table = { rows: config.vocab, cols: config.hidden, values: other("model.embed_tokens.weight") };
    let row = 0;
    members.forEach(({ embedding }, i) => {
      assertPart(embedding, table, row, 0, `${at}: embedding`);
      assertEquals(cuts[i]!.vocab, { start: row, end: row += embedding.rows }, `${at}: vocabulary of rank ${i}`);
      if (embedding.rows === 0) seen.noVocabulary++;
    });
    assertEquals(row, config.vocab, `${at}: rows of the embedding`);
    assertRows(members.map(({ head }) => head), numbers("lm_head"), `${at}: head`);
    for (const { norm } of members) assertVectors([norm], other("model.norm.weight"), `${at}: norm`);
  }

  let firstExpert = 0;
  for (const [group, members] of groups.entries()) {
    const cuts = rangesOf(group), owned = members[0]!.layers[0]!.gateUp.length;
    assert(owned > 0, `${label}, group ${group}: no experts`);
    if (owned * ep !== config.experts) seen.unevenExperts++;
    for (const { experts } of cuts) {
      assertEquals(experts, { start: firstExpert, end: firstExpert + owned }, `${label}, group ${group}: experts`);
    }
    for (let layer = 0; layer < config.layers; layer++) {
      const name = `model.layers.${layer}`, at = `${label}, group ${group}: ${name}`;
      const layers = members.map((member) => member.layers[layer]!);
      for (const l of layers) {
        assertVectors([l.inputNorm], other(`${name}.input_layernorm.weight`), `${at}: input norm`);
        assertVectors([l.postNorm], other(`${name}.post_attention_layernorm.weight`), `${at}: post norm`);
        assertRows([l.router], numbers(`${name}.mlp.router`), `${at}: router`);
      }

      const { headDim, heads, kvHeads } = config, perKv = heads / kvHeads;
      const queries = assertRows(layers.map(({ q }) => q), numbers(`${name}.self_attn.q_proj`), `${at}: q`);
      const inputs = assertColumns(layers.map(({ o }) => o), numbers(`${name}.self_attn.o_proj`), `${at}: o`);
      assertEquals(inputs, queries, `${at}: o_proj takes the heads that q_proj gives`);
      assertVectors(layers.map(({ sinks }) => sinks), other(`${name}.self_attn.sinks`), `${at}: sinks`);
      layers.forEach((l, i) => {
        const first = queries[i]! / headDim, count = l.q.rows / headDim, kvCount = l.k.rows / headDim;
        assert(Number.isInteger(first) && Number.isInteger(count) && count > 0, `${at}: whole heads on rank ${i}`);
        assertEquals(l.sinks.length, count, `${at}: sinks of rank ${i}`);
        const kvFirst = Math.floor(first / perKv);
        // Attention on a rank knows nothing of the others: its heads read its KV heads in equal contiguous groups.
        for (let head = 0; head < count; head++) {
          const local = Math.floor(head / (count / kvCount));
          assertEquals(kvFirst + local, Math.floor((first + head) / perKv), `${at}: KV head of head ${first + head}`);
        }
        for (const which of ["k", "v"] as const) {
          const whole = numbers(`${name}.self_attn.${which}_proj`), part = l[which];
          assertPart(part, whole, kvFirst * headDim, 0, `${at}: ${which} of rank ${i}`);
          assertEquals([part.rows, part.cols], [kvCount * headDim, whole.cols], `${at}: shape of ${which}`);
          assertVectors(
            [part.bias!],
            whole.bias!.subarray(kvFirst * headDim, (kvFirst + kvCount) * headDim),
            `${at}: bias of ${which} on rank ${i}`,
          );
        }
        const { heads: headRange, kvHeads: kvRange } = cuts[i]!;
        assertEquals(headRange, { start: first, end: first + count }, `${at}: heads of rank ${i}`);
        assertEquals(kvRange, { start: kvFirst, end: kvFirst + kvCount }, `${at}: KV heads of rank ${i}`);
        if (count * tp !== heads) seen.unevenHeads++;
        if (i > 0 && cuts[i - 1]!.kvHeads.start === kvFirst) seen.sharedKvHeads++;
      });

      for (let e = 0; e < owned; e++) {
        const module = `${name}.mlp.experts.${firstExpert + e}`, expert = `${at}: expert ${firstExpert + e}`;
        assert(layers.every((l) => l.gateUp.length === owned && l.down.length === owned), `${at}: experts`);
        const up = layers.map((l) => l.gateUp[e]!), down = layers.map((l) => l.down[e]!);
        const rows = assertRows(up, numbers(`${module}.gate_up_proj`), `${expert}: gate_up`);
        const columns = assertColumns(down, numbers(`${module}.down_proj`), `${expert}: down`);
        assertEquals(
          rows,
          columns.map((column) => 2 * column),
          `${expert}: down takes what gate and up give, in pairs`,
        );
        down.forEach((part, i) => {
          const { intermediate } = cuts[i]!;
          assertEquals(
            intermediate,
            { start: columns[i]!, end: columns[i]! + part.cols },
            `${expert}: columns of ${i}`,
          );
          const last = columns[i]! + part.cols === config.intermediate;
          assert(last || part.cols % BLOCK === 0, `${expert}: a block is cut after rank ${i}`);
          if (part.cols === 0) seen.noColumns++;
          else if (part.cols * tp !== config.intermediate) seen.unevenColumns++;
        });
        // A static scale is the largest of all experts', those of other ranks too.
        for (const [projection, parts] of [["gateUp", up], ["down", down]] as const) {
          const wanted = source.tree.layers[layer]![projection][0]!.input;
          const suffix = projection === "down" ? "down_proj" : "gate_up_proj";
          const largest = Math.max(
            ...Array.from(
              { length: config.experts },
              (_, i) => numbers(`${name}.mlp.experts.${i}.${suffix}`).inputScale ?? 0,
            ),
          );
          assertEquals(
            wanted,
            largest > 0 ? { kind: "fp8_static", scale: largest } : { kind: "none" },
            `${expert}: input`,
          );
          for (const { input } of parts) assertEquals(input, wanted, `${expert}: input of ${projection}`);
        }
      }
    }
    firstExpert += owned;
  }
  assertEquals(firstExpert, config.experts, `${label}: every expert has an owner`);
}

const LOADERS = [["emulate", loadByEmulate], ["reference", loadByReference]] as const;

function check(opened: Opened, tp: number, ep: number, label: string): void {
  const { source, checkpoint: { config }, owners } = opened;
  const parts = Array.from({ length: tp * ep }, (_, rank) => shardSource(source, config, { tp, ep }, rank));
  for (const [name, load] of LOADERS) {
    const ranks = parts.map((part, rank) => {
      const { result, reads } = recordReads(() => load(part));
      const { start, end } = rankRanges(config, { tp, ep }, rank).experts;
      const own = new Set(Array.from({ length: end - start }, (_, i) => start + i));
      assertOwnExperts(reads, opened, own, `${label}, ${name}, rank ${rank}`);
      return result;
    });
    checkNumbers(opened, tp, ep, ranks, `${label}, ${name}`);
  }
  // Experts' bytes are wanted by one rank each; what all ranks want, by all of them.
  const counts = source.files.map(({ bytes }) => new Uint8Array(bytes));
  for (const part of parts) countBytes(part, counts);
  source.files.forEach(({ path }, file) => {
    owners.get(path)!.forEach((owner, at) => {
      if (owner >= 0) assertOnce(counts[file]![at]!, `${label}: byte ${at} of ${path}, of expert ${owner}`);
    });
  });
}

function assertOnce(count: number, what: string): void {
  if (count !== 1) throw new Error(`${what}: expected one rank that wants it, got ${count}`);
}

for (const [index, kind] of CASES.entries()) {
  Deno.test(`the ranks' parts of a checkpoint are the whole: ${kind.name}`, () => {
    // Outside a soak by turns.
    for (const large of SOAK ? [false, true] : [index % 2 === 1]) {
      const seed = SEED + 2 * index + (large ? 1 : 0), random = new Random(seed);
      const shape = randomShape(random, formatsOf(kind), large);
      const label = `MXOSS_TEST_SEED=${SEED} (${seed}), ${JSON.stringify(shape)}`;
      using dir = new TemporaryDirectory();
      const made = makeCheckpoint(dir, random, {
        shape,
        layout: kind.layout,
        quark: kind.quark,
        shards: 1 + random.below(3),
      });
      const checkpoint = openCheckpoint(dir.path);
      assertEquals([checkpoint.layout, checkpoint.warnings], [kind.found, []], label);
      const { source } = planModel(checkpoint, { dtype: "f32", kvCacheDtype: "auto" });
      const opened = { made, checkpoint, source, owners: ownersOf(source) };
      const sizes = TP.flatMap((tp) => EP.map((ep) => [tp, ep] as const));
      // Outside a soak every case tries a fifth of the sizes, the next case the next fifth.
      for (const [tp, ep] of SOAK ? sizes : sizes.filter((_, i) => i % 5 === index % 5)) {
        check(opened, tp, ep, `${label}, tp ${tp}, ep ${ep}`);
      }
    }
  });
}

Deno.test("the shapes above were uneven in every way", () => {
  for (const [what, times] of Object.entries(seen)) assert(times > 0, `MXOSS_TEST_SEED=${SEED}: no ${what}`);
});
