/**
 * Ranks on the GPU backend: the loader's slices in device memory, and the sums between them through the communicator's
 * seam. Ranks of one thread cannot wait for each other, so they take turns: each turn computes a forward pass in every
 * rank, with the sums that earlier turns made known, and makes known one more.
 */
import type { Communicator, RankGroup } from "../../../src/model/backend.ts";
import { groupSizes, rankRanges, shardSource } from "../../../src/checkpoint/shard.ts";
import { assert, assertEquals } from "../../assert.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { dose } from "../../soak.ts";
import { type RandomModel, randomModel, STORAGES, testConfig } from "../random_model.ts";
import { logitsOf, openEngine, sequence } from "./opened.ts";

const ignore = await withoutKernelCompiler();
const config = testConfig({});

/** Writes down what its rank would add, and gives the sums that are known. */
class Turns implements Communicator {
  readonly added: { readonly group: RankGroup; readonly values: Float32Array }[] = [];

  /** @param known Sums by call and rank. */
  constructor(readonly rank: number, readonly size: number, readonly known: readonly (readonly Float32Array[])[]) {}

  allReduce(values: Float32Array, group: RankGroup, round: boolean): void {
    assertEquals(round, false);
    const sum = this.known[this.added.length]?.[this.rank];
    this.added.push({ group, values: values.slice() });
    if (sum) values.set(sum);
  }
}

/** Logits of all tokens from ranks in turns, and how many sums a pass takes. */
async function inTurns(
  library: string,
  model: RandomModel,
  sizes: { readonly tp: number; readonly ep: number },
): Promise<{ logits: Float32Array[]; sums: number }> {
  const ranks = sizes.tp * sizes.ep,
    { tp } = groupSizes(config, sizes),
    kernels = await hostKernels(),
    known: Float32Array[][] = [];
  const batch = sequence(0, 5, config.vocab), rows = [0, 4];
  for (;;) {
    const turn: { readonly added: Turns["added"]; readonly logits: Float32Array[] }[] = [];
    for (let rank = 0; rank < ranks; rank++) {
      const ranges = rankRanges(config, sizes, rank), communicator = new Turns(rank, ranks, known);
      const part = { vocabStart: ranges.vocab.start, expertStart: ranges.experts.start, communicator };
      const own = { ...model, config, source: shardSource(model.source, config, sizes, rank) };
      const engine = await openEngine(library, own as RandomModel, { kernels }, { part });
      engine.model.forward(batch);
      // A rank has its own columns of the logits.
      const mine = engine.model.logits(Int32Array.from(rows)).slice(), width = mine.length / rows.length;
      const logits = rows.map((_, i) => mine.subarray(i * width, (i + 1) * width));
      turn.push({ logits, added: communicator.added });
      await engine.close();
    }
    const { added } = turn[0]!;
    for (const other of turn) assertEquals(other.added.length, added.length);
    if (known.length === added.length) {
      // Ranks of the first group hold the vocabulary's parts side by side.
      const parts = turn.slice(0, tp);
      const logits = rows.map((_, i) => Float32Array.from(parts.flatMap(({ logits }) => [...logits[i]!])));
      return { logits, sums: known.length };
    }
    const at = known.length;
    known.push(turn.map(({ added }, rank) => {
      const first = added[at]!.group === "world" ? 0 : rank - rank % tp;
      const members = turn.slice(first, added[at]!.group === "world" ? ranks : first + tp);
      return added[at]!.values.map((_, i) =>
        members.reduce((sum, { added }) => Math.fround(sum + added[at]!.values[i]!), 0)
      );
    }));
  }
}

// One rank takes the same way: in soaks.
for (const sizes of [...dose([], [{ tp: 1, ep: 1 }]), { tp: 2, ep: 1 }, { tp: 1, ep: 2 }]) {
  Deno.test({
    name: `GPU ranks at tp ${sizes.tp}, ep ${sizes.ep} give the whole model's logits`,
    ignore,
    fn: async () => {
      using host = new HipHost(buildHipHost());
      const mxfp4 = STORAGES.find(({ format }) => format === "mxfp4")!;
      using model = randomModel(7, { config, storage: mxfp4 });
      const whole = await openEngine(host.path, model, { kernels: await hostKernels() });
      const expected = await logitsOf(whole, sequence(0, 5, config.vocab), [0, 4]);
      await whole.close();
      const { logits, sums } = await inTurns(host.path, model, sizes);
      // The embedding's, and two of each layer.
      assertEquals(sums, 1 + 2 * config.layers);
      for (const [i, row] of logits.entries()) {
        let error = 0, squares = 0;
        for (const [v, x] of expected[i]!.entries()) {
          error += (row[v]! - x) ** 2;
          squares += x ** 2;
        }
        assertEquals(row.length, expected[i]!.length);
        assert(error <= 1e-10 * squares, `row ${i}: NMSE ${error / squares}`);
      }
      assertEquals(host.leaks(), "");
    },
  });
}
