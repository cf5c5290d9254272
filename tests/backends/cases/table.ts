/** Embedding rows and logits. */
import { consecutive, type OperationCase } from "../compare.ts";
import { randomModel, storageName, STORAGES } from "../random_model.ts";
import { DTYPES, EVEN, fill, see, UNEVEN } from "./common.ts";

const TABLES = STORAGES.filter(({ scale, transposed }) => scale === "none" && !transposed);

/** The cases of this file. */
export const TABLE_CASES: readonly OperationCase[] = TABLES.flatMap((table) =>
  DTYPES.flatMap((dtype) =>
    [EVEN, UNEVEN].flatMap((config): OperationCase[] => [
      {
        name: `embed, ${storageName(table)}, width ${config.hidden}, ${dtype}`,
        dtype,
        model: () => randomModel(4, { config, table }),
        run: (backend) =>
          [1, 32].map((n) => {
            backend.begin(consecutive(n));
            backend.embed(backend.tensors.hidden, backend.weights.embedding);
            return see(backend, "hidden", n, `${n} tokens`, "exact");
          }),
      },
      {
        name: `logits, ${storageName(table)}, width ${config.hidden}, ${dtype}`,
        dtype,
        model: () => randomModel(4, { config, table }),
        run: (backend) => {
          backend.begin(consecutive(20));
          fill(backend, "normed", 20, 6);
          const { normed } = backend.tensors, { head } = backend.weights;
          const last = backend.logits(normed, head, Int32Array.of(19)).slice(0, config.vocab);
          const into = new Float32Array(20 * config.vocab);
          backend.logits(normed, head, Int32Array.from({ length: 20 }, (_, t) => 19 - t), into);
          last.forEach((value, i) => {
            if (value !== into[i]) throw new Error(`logit ${i}: ${value} alone, ${into[i]} among others`);
          });
          return [{ name: "logits", values: into, agreement: "float32" }];
        },
      },
    ])
  )
);
