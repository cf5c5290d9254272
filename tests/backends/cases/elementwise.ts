/** Norm, rotation, residual sum, routing, activation, combination. */
import { consecutive, type OperationCase } from "../compare.ts";
import { randomModel } from "../random_model.ts";
import { normals } from "../../formats/seeded.ts";
import { DTYPES, EVEN, fill, plain, see, UNEVEN, unevenRouting } from "./common.ts";

const MODEL_OF_VECTORS = (["bf16", "f32", "f16"] as const).flatMap((vectors) =>
  DTYPES.flatMap((dtype) => [EVEN, UNEVEN].map((config) => ({ vectors, dtype, config })))
);

const norms: OperationCase[] = MODEL_OF_VECTORS.map(({ vectors, dtype, config }): OperationCase => ({
  name: `rmsNorm, ${vectors} weight, width ${config.hidden}, ${dtype}`,
  dtype,
  model: () => randomModel(5, { config, vectors }),
  run: (backend) =>
    [1, 5].flatMap((n) =>
      [1e-4, 1, 300].map((deviation) => {
        backend.begin(consecutive(n));
        fill(backend, "hidden", n, n, deviation);
        backend.rmsNorm(backend.tensors.normed, backend.tensors.hidden, backend.weights.norm);
        return see(backend, "normed", n, `${n} tokens of size ${deviation}`);
      })
    ),
}));

const elementwise: OperationCase[] = DTYPES.flatMap((dtype) =>
  [EVEN, UNEVEN].flatMap((config): OperationCase[] => {
    const named = (operation: string) => `${operation}, ${config === EVEN ? "even" : "uneven"} widths, ${dtype}`;
    return [
      {
        name: named("rotate"),
        dtype,
        model: plain(config),
        run: (backend) => {
          const positions = Int32Array.of(0, 1, 77, 4095, 100_000);
          backend.begin({ ids: new Int32Array(5), slots: new Int32Array(5), positions });
          fill(backend, "query", 5, 1);
          fill(backend, "key", 5, 2);
          backend.rotate(backend.tensors.query, backend.tensors.key);
          return [see(backend, "query", 5, "query"), see(backend, "key", 5, "key")];
        },
      },
      {
        name: named("add"),
        dtype,
        model: plain(config),
        run: (backend) => {
          backend.begin(consecutive(9));
          fill(backend, "hidden", 9, 1, 50);
          fill(backend, "projected", 9, 2);
          backend.add(backend.tensors.hidden, backend.tensors.projected);
          return [see(backend, "hidden", 9, "sum", "exact")];
        },
      },
      {
        name: named("route"),
        dtype,
        model: plain(config),
        run: (backend) => {
          const n = 12, { experts } = config;
          backend.begin(consecutive(n));
          // Quarters, so that many are equal; the first row is all equal.
          const logits = normals(3, n * experts).map((x, i) => i < experts ? 0.5 : Math.round(4 * x) / 4);
          // A NaN is chosen last: not at all, in a place that moves from row to row.
          for (let t = 1; t < n && config.topK < experts; t++) logits[t * experts + t % experts] = NaN;
          backend.write(backend.tensors.router, logits);
          backend.route(backend.tensors.router);
          const { ids, weights } = backend.readRouting();
          return [
            { name: "experts", values: ids, agreement: "exact" },
            { name: "weights", values: weights, agreement: "float32" },
          ];
        },
      },
      {
        name: named("swiglu"),
        dtype,
        model: plain(config),
        run: (backend) => {
          backend.begin(consecutive(7));
          const rows = 7 * config.topK;
          return [0.1, 5, 60].map((deviation) => {
            fill(backend, "gateUp", rows, 4, deviation);
            backend.swiglu(backend.tensors.activated, backend.tensors.gateUp);
            return see(backend, "activated", rows, `inputs of size ${deviation}`);
          });
        },
      },
      {
        name: named("combine"),
        dtype,
        model: plain(config),
        run: (backend) => {
          backend.begin(consecutive(7));
          const { ids, weights } = unevenRouting(7, config);
          backend.writeRouting(ids, weights);
          fill(backend, "expertOut", 7 * config.topK, 5);
          backend.combine(backend.tensors.combined, backend.tensors.expertOut);
          return [see(backend, "combined", 7, "weighted sum")];
        },
      },
    ];
  })
);

/** The cases of this file. */
export const ELEMENTWISE_CASES: readonly OperationCase[] = [...norms, ...elementwise];
