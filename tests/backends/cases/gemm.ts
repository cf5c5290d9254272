/** Linears and expert GEMMs in every weight and input format; dequantization and QDQ on their own, which are exact. */
import { bytesOf, type Dtype } from "../../../src/formats/format.ts";
import type { InputFormat } from "../../../src/formats/input.ts";
import { consecutive, type Observation, type OperationCase } from "../compare.ts";
import {
  BF16,
  isMx,
  type RandomModel,
  randomModel,
  type SourceFileBuilder,
  type Storage,
  storageName,
  STORAGES,
} from "../random_model.ts";
import { integers, normals } from "../../formats/seeded.ts";
import {
  awkwardRows,
  DTYPES,
  EVEN,
  fill,
  type Graph,
  inputName,
  INPUTS,
  see,
  SQUARE,
  TOKENS,
  UNEVEN,
  unevenRouting,
} from "./common.ts";

/** The same computed with all tokens in one batch and with each alone. @throws {Error} if the bits differ. */
function unaffectedByBatch(what: string, together: Float32Array, alone: (t: number) => Float32Array): void {
  const tokens = 2;
  const width = together.length / tokens;
  for (let t = 0; t < tokens; t++) {
    alone(t).forEach((value, i) => {
      if (!Object.is(value, together[t * width + i])) {
        throw new Error(`${what}: token ${t} alone gives ${value} at ${i}, in a batch ${together[t * width + i]}`);
      }
    });
  }
}

/** q, k, v and o of layer 0 on random rows. */
function linears(backend: Graph): Observation[] {
  const { tensors: t, weights } = backend;
  const { q, k, v, o } = weights.layers[0]!;
  return TOKENS.flatMap((n) => {
    backend.begin(consecutive(n));
    fill(backend, "normed", n, n);
    backend.linear([t.query, t.key, t.value], t.normed, [q, k, v]);
    fill(backend, "attended", n, n + 100);
    backend.linear([t.projected], t.attended, [o]);
    const seen = (["query", "key", "value", "projected"] as const).map((x) =>
      see(backend, x, n, `${x} of ${n} tokens`)
    );
    if (n === 2) {
      const rows = normals(n, n * t.normed.width);
      unaffectedByBatch("linear", backend.read(t.query, n), (token) => {
        backend.begin(consecutive(1));
        backend.write(t.normed, rows.slice(token * t.normed.width, (token + 1) * t.normed.width));
        backend.linear([t.query], t.normed, [q]);
        return backend.read(t.query, 1);
      });
    }
    return seen;
  });
}

/** gate_up, SwiGLU, down and combine of layer 0; the results of each step feed the next backend-independently. */
function expertOperations(backend: Graph, { config }: RandomModel): Observation[] {
  const { tensors: t, weights } = backend;
  const { gateUp, down } = weights.layers[0]!;
  return TOKENS.flatMap((n) => {
    const slotRows = n * config.topK;
    backend.begin(consecutive(n));
    const { ids, weights: probabilities } = unevenRouting(n, config);
    backend.writeRouting(ids, probabilities);
    fill(backend, "normed", n, n);
    backend.expertGateUp(t.gateUp, t.normed, gateUp);
    const seen = [see(backend, "gateUp", slotRows, `gate_up of ${n} tokens`)];
    fill(backend, "activated", slotRows, n + 50);
    backend.expertDown(t.expertOut, t.activated, down);
    seen.push(see(backend, "expertOut", slotRows, `down of ${n} tokens`, "float32"));
    return seen;
  });
}

/** Storages that no scheme quantizes the inputs of. */
const rare = (storage: Storage): boolean => storage.transposed || storage.format === "f16";

/** linear and the expert GEMMs: every storage x every input format. */
/** Uneven widths only where the format allows them, and once. */
const configs = (storage: Storage, dtype: Dtype) => isMx(storage) || dtype === "bf16" ? [EVEN] : [EVEN, UNEVEN];

const gemms = (inputs: readonly InputFormat[]): OperationCase[] =>
  STORAGES.flatMap((storage) =>
    inputs.filter(({ kind }) => kind === "none" || !rare(storage)).flatMap((input) =>
      DTYPES.flatMap((dtype) =>
        configs(storage, dtype).map((config): OperationCase => ({
          name: `GEMMs, ${storageName(storage)} weights, ${inputName(input)} input, ${
            config === EVEN ? "even" : "uneven"
          } widths, ${dtype}`,
          dtype,
          model: () => randomModel(1, { config: { ...config, layers: 1, sliding: [false] }, storage, input }),
          run: (backend, model) => [...linears(backend), ...expertOperations(backend, model)],
        }))
      )
    )
  );

/**
 * Linears that read one row through one input format and have weights of several: what is prepared for one is not what
 * another wants.
 */
const neighbours = (inputs: readonly InputFormat[]): OperationCase[] =>
  [["mxfp4", "bf16", "mxfp6_e2m3"], ["fp8_e4m3", "bf16", "mxfp4"]].flatMap((formats) =>
    inputs.map((input): OperationCase => ({
      name: `linears of ${formats.join(", ")} weights side by side, ${inputName(input)} input`,
      dtype: "bf16",
      model: () => {
        const [q, k, v] = formats.map((format) => STORAGES.find((storage) => storage.format === format)!);
        return randomModel(4, { config: { ...EVEN, layers: 1, sliding: [false] }, attention: [q!, k!, v!], input });
      },
      run: linears,
    }))
  );

/** An identity matrix, which lets a linear show what its input format leaves of a row. */
const identity = (file: SourceFileBuilder) =>
  file.matrix("identity", SQUARE.hidden, SQUARE.hidden, BF16, (r, c) => r === c ? 1 : 0);

const qdq = (inputs: readonly InputFormat[]): OperationCase[] =>
  inputs.flatMap((input) =>
    DTYPES.map((dtype): OperationCase => ({
      name: `QDQ of ${inputName(input)} input, ${dtype}`,
      dtype,
      model: () => randomModel(2, { config: SQUARE, input, probe: identity }),
      run: (backend) => {
        const n = 24, { tensors: t, weights } = backend;
        backend.begin(consecutive(n));
        backend.write(t.attended, awkwardRows(n, t.attended.width, dtype === "bf16"));
        backend.linear([t.projected], t.attended, [weights.layers[0]!.o]);
        return [see(backend, "projected", n, "rows through an identity", "exact")];
      },
    }))
  );

/** A matrix of random codes, and of all scale bytes whose products are finite. */
function allCodes(storage: Storage): (file: SourceFileBuilder) => ReturnType<SourceFileBuilder["rawMatrix"]> {
  const width = SQUARE.hidden;
  return (file) => {
    const next = integers(9);
    const nan = storage.format === "fp8_e4m3" ? [0x7f, 0xff] : storage.format === "fp8_e4m3fnuz" ? [0x80] : [];
    const code = () => {
      const byte = next() & 255;
      return nan.includes(byte) ? 0x35 : byte;
    };
    const rows = Array.from({ length: width }, (_, r) => ({
      bytes: Uint8Array.from({ length: bytesOf(storage.format, width) }, code),
      scales: Uint8Array.from({ length: width / 32 }, (_, b) => (r * 4 + b) % 251),
      // A power of two, so that code times scale is exact.
      scale: 2 ** (r % 9 - 4),
    }));
    return file.rawMatrix("codes", storage, width, rows);
  };
}

/** Dequantization, seen column by column through rows that are one at one place. */
const dequantization: OperationCase[] = STORAGES.filter(({ format }) =>
  format.startsWith("mx") || format.startsWith("fp8")
)
  .map((storage): OperationCase => ({
    name: `dequantization of ${storageName(storage)}`,
    dtype: "f32",
    model: () => randomModel(3, { config: SQUARE, probe: allCodes(storage) }),
    run: (backend) => {
      const { tensors: t, weights } = backend, width = SQUARE.hidden, n = 32;
      return Array.from({ length: width / n }, (_, part) => {
        backend.begin(consecutive(n));
        const rows = new Float32Array(n * width);
        for (let i = 0; i < n; i++) rows[i * width + part * n + i] = 1;
        backend.write(t.attended, rows);
        backend.linear([t.projected], t.attended, [weights.layers[0]!.o]);
        return see(backend, "projected", n, `columns ${part * n} to ${part * n + n - 1}`, "exact");
      });
    },
  }));

const casesOf = (inputs: readonly InputFormat[]) => [...qdq(inputs), ...gemms(inputs), ...neighbours(inputs)];

/** The cases of this file. */
export const GEMM_CASES: readonly OperationCase[] = [...dequantization, ...casesOf(INPUTS)];
/** Cases of inputs that no GPU backend quantizes. */
export const PROCESSOR_CASES: readonly OperationCase[] = casesOf([{ kind: "q8_0" }]);
