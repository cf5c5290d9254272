/**
 * The parts of all ranks put together are the whole model, bit for bit: random models that do not divide, written in
 * every layout and format, found out and opened as any checkpoint is, cut, and loaded by the backends' own loaders.
 * What is expected are the numbers that were drawn, which none of that code has touched.
 */
import { BLOCK } from "../../src/formats/format.ts";
import { CASES, formatsOf, randomShape } from "./shard_cases.ts";
import { assertOwnExperts, countBytes, ownersOf } from "./wanted_bytes.ts";
import { assertColumns, assertPart, assertRows, assertVectors } from "./rank_parts.ts";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { rankRanges, shardSource } from "../../src/checkpoint/shard.ts";
import type { ModelSource } from "../../src/checkpoint/source.ts";
import { planModel } from "../../src/plan/planned.ts";
import { assert, assertEquals } from "../assert.ts";
import { SOAK } from "../soak.ts";
import { TemporaryDirectory } from "./container.ts";
import { type Made, makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";
import { type DenseTree, loadByEmulate, loadByReference } from "./rank_numbers.ts";
import { recordReads } from "./recorded_reads.ts";

/** Every failure names the seed that it came from; another one can be tried by MXOSS_TEST_SEED. */
const SEED = Number(Deno.env.get("MXOSS_TEST_SEED") ?? 2880);
const TP = [1, 2, 3, 4, 8], EP = [1, 2, 4];

/** How often something came up that a random shape may or may not have. */
const seen = { unevenColumns: 0, noColumns: 0, unevenHeads: 0, sharedKvHeads: 0, noVocabulary: 0, unevenExperts: 0 };

/** A checkpoint that was written and opened again. */
interface Opened {
  readonly made: Made;
  readonly checkpoint: Checkpoint;
  /** With what happens to inputs. */
  readonly source: ModelSource;
  /** Experts of each byte of each file, by path; see {@linkcode ownersOf}. */
  readonly owners: ReadonlyMap<string, Int16Array>;
}

/** Checks the ranks' parts as one loader gives them. */
function checkNumbers(opened: Opened, tp: number, ep: number, ranks: readonly DenseTree[], label: string): void {
  const { made, checkpoint: { config }, source } = opened;
  const ranges = ranks.map((_, rank) => rankRanges(config, { tp, ep }, rank));
  const cut = <T>(all: readonly T[], size: number) =>
    Array.from({ length: all.length / size }, (_, group) => all.slice(group * size, (group + 1) * size));
  const groups = cut(ranks, tp), rangesOf = (group: number) => cut(ranges, tp)[group]!;
  // The ranks that share heads and vocabulary: all, or those of one group of experts.
  const sharing = ranges.at(-1)!.group === 0 ? tp * ep : tp;
  assertEquals(ranges.map(({ group }) => group), ranks.map((_, rank) => Math.floor(rank / sharing)), label);
  const numbers = (module: string) => made.linears.get(module)!;
  const other = (name: string) => made.others.get(name)!;

  for (const [group, members] of cut(ranks, sharing).entries()) {
    const cuts = cut(ranges, sharing)[group]!, at = `${label}, ranks of heads ${group}`;
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
    for (let layer = 0; layer < config.layers; layer++) {
      const name = `model.layers.${layer}`, place = `${at}: ${name}`;
      const layers = members.map((member) => member.layers[layer]!);
      for (const l of layers) {
        assertVectors([l.inputNorm], other(`${name}.input_layernorm.weight`), `${place}: input norm`);
        assertVectors([l.postNorm], other(`${name}.post_attention_layernorm.weight`), `${place}: post norm`);
        assertRows([l.router], numbers(`${name}.mlp.router`), `${place}: router`);
      }

      const { headDim, heads, kvHeads } = config, perKv = heads / kvHeads;
      const queries = assertRows(layers.map(({ q }) => q), numbers(`${name}.self_attn.q_proj`), `${place}: q`);
      const inputs = assertColumns(layers.map(({ o }) => o), numbers(`${name}.self_attn.o_proj`), `${place}: o`);
      assertEquals(inputs, queries, `${place}: o_proj takes the heads that q_proj gives`);
      assertVectors(layers.map(({ sinks }) => sinks), other(`${name}.self_attn.sinks`), `${place}: sinks`);
      layers.forEach((l, i) => {
        const first = queries[i]! / headDim, count = l.q.rows / headDim, kvCount = l.k.rows / headDim;
        assert(Number.isInteger(first) && Number.isInteger(count) && count > 0, `${place}: whole heads on rank ${i}`);
        assertEquals(l.sinks.length, count, `${place}: sinks of rank ${i}`);
        const kvFirst = Math.floor(first / perKv);
        // Attention on a rank knows nothing of the others: its heads read its KV heads in equal contiguous groups.
        for (let head = 0; head < count; head++) {
          const local = Math.floor(head / (count / kvCount));
          assertEquals(
            kvFirst + local,
            Math.floor((first + head) / perKv),
            `${place}: KV head of head ${first + head}`,
          );
        }
        for (const which of ["k", "v"] as const) {
          const whole = numbers(`${name}.self_attn.${which}_proj`), part = l[which];
          assertPart(part, whole, kvFirst * headDim, 0, `${place}: ${which} of rank ${i}`);
          assertEquals([part.rows, part.cols], [kvCount * headDim, whole.cols], `${place}: shape of ${which}`);
          assertVectors(
            [part.bias!],
            whole.bias!.subarray(kvFirst * headDim, (kvFirst + kvCount) * headDim),
            `${place}: bias of ${which} on rank ${i}`,
          );
        }
        const { heads: headRange, kvHeads: kvRange } = cuts[i]!;
        assertEquals(headRange, { start: first, end: first + count }, `${place}: heads of rank ${i}`);
        assertEquals(kvRange, { start: kvFirst, end: kvFirst + kvCount }, `${place}: KV heads of rank ${i}`);
        if (count * sharing !== heads) seen.unevenHeads++;
        if (i > 0 && cuts[i - 1]!.kvHeads.start === kvFirst) seen.sharedKvHeads++;
      });
    }
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
      assertOwnExperts(reads, owners, own, `${label}, ${name}, rank ${rank}`);
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
      // Outside a soak every case tries two of the fifteen sizes, the next case the next two.
      for (const [tp, ep] of SOAK ? sizes : sizes.filter((_, i) => i % 8 === index % 8)) {
        check(opened, tp, ep, `${label}, tp ${tp}, ep ${ep}`);
      }
    }
  });
}

Deno.test("the shapes above were uneven in every way", () => {
  for (const [what, times] of Object.entries(seen)) assert(times > 0, `MXOSS_TEST_SEED=${SEED}: no ${what}`);
});
