/** What a rank of a parallel run does with its part of the model. */
import type { Communicator } from "../../../src/model/backend.ts";
import { consecutive, type OperationCase } from "../compare.ts";
import { randomModel } from "../random_model.ts";
import { normals } from "../../formats/seeded.ts";
import { DTYPES, EVEN, fill, see } from "./common.ts";

/** Adds 1 to everything instead of summing, so that a call can be seen. */
const COMMUNICATOR: Communicator = {
  rank: 1,
  size: 2,
  allReduce: (values, group, round) => {
    for (let i = 0; i < values.length; i++) values[i] = values[i]! + (group === "world" ? 1 : 2) + (round ? 4 : 0);
  },
};

/** The cases of this file: vocabulary from 40, experts from 4. */
export const RANK_CASES: readonly OperationCase[] = DTYPES.map((dtype): OperationCase => {
  const part = { vocabStart: 40, expertStart: 4, communicator: COMMUNICATOR };
  return {
    name: `a rank's part, ${dtype}`,
    dtype,
    model: () => {
      // As many experts as are local; the config counts them all.
      const model = randomModel(8, { config: { ...EVEN, experts: 3, vocab: 30 } });
      return {
        config: { ...EVEN, experts: 9, vocab: 100 },
        source: model.source,
        [Symbol.dispose]: () => model[Symbol.dispose](),
      };
    },
    request: { part },
    run: (backend, { config }) => {
      const { tensors: t, weights } = backend, n = 10;
      const ids = Int32Array.of(0, 39, 40, 41, 55, 69, 70, 71, 99, 40);
      backend.begin({ ...consecutive(n), ids });
      backend.embed(t.hidden, weights.embedding);
      const seen = [see(backend, "hidden", n, "embedding rows", "exact")];
      backend.allReduce(t.hidden, "tensor");
      seen.push(see(backend, "hidden", n, "sum over tensor ranks", "exact"));
      const experts = Int32Array.from(
        { length: n * config.topK },
        (_, s) => (s + Math.floor(s / config.topK)) % config.experts,
      );
      backend.writeRouting(experts, normals(1, n * config.topK));
      fill(backend, "normed", n, 2);
      backend.expertGateUp(t.gateUp, t.normed, weights.layers[0]!.gateUp);
      seen.push(see(backend, "gateUp", n * config.topK, "gate_up, zeros where the expert is elsewhere"));
      fill(backend, "activated", n * config.topK, 3);
      backend.expertDown(t.expertOut, t.activated, weights.layers[0]!.down);
      seen.push(see(backend, "expertOut", n * config.topK, "down", "float32"));
      fill(backend, "combined", n, 4);
      backend.allReduce(t.combined, "world");
      seen.push(see(backend, "combined", n, "sum over all ranks", "exact"));
      return seen;
    },
  };
});
