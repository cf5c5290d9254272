/** What the kernels can compute, checked before anything is allocated; see kernels/ABI.md. */
import { BLOCK, bytesOf, isMxFormat } from "../../formats/format.ts";
import { onGpus } from "../../formats/input.ts";
import { allLinears, type ModelSource } from "../../checkpoint/source.ts";
import { InputError } from "../../errors.ts";
import type { OpenRequest } from "../../model/backend.ts";
import type { Calls } from "./calls.ts";
import { suffixOf } from "./tensors.ts";
import { option, type Text, words } from "../../words.ts";

const MOST_EXPERTS = 1024;
const MOST_CHOICES = 32;
const MOST_HEAD_DIM = 256;
const MOST_HEADS_PER_KV = 16;
const none = (what: string): Text => words`no ${what} (${option("backend")} emulate and reference do)`;
const NO_Q8 = none("Q8_0 inputs");
const NO_ROTATION = none("online rotation of inputs");

/**
 * Checks a request against the limits of the kernels.
 *
 * @throws {InputError} naming the number or tensor, what is supported and what was got.
 */
export function checkLimits({ config, source }: Pick<OpenRequest, "config" | "source">): void {
  const { headDim, experts, topK } = config;
  const want = (ok: boolean, what: Text, expected: Text, got: number | string) => {
    if (!ok) {
      throw InputError.saying("unsupported", { name: what }, words`the GPU backend supports ${expected}, got ${got}`);
    }
  };
  want(headDim <= MOST_HEAD_DIM, "head_dim", `up to ${MOST_HEAD_DIM}`, headDim);
  want(experts <= MOST_EXPERTS, "num_local_experts", `up to ${MOST_EXPERTS}`, experts);
  want(topK <= MOST_CHOICES, "num_experts_per_tok", `up to ${MOST_CHOICES}`, topK);
  for (const { q, k, gateUp, down } of source.tree.layers) {
    const perKv = k.weight.rows === 0 ? 0 : q.weight.rows / k.weight.rows;
    want(
      perKv <= MOST_HEADS_PER_KV,
      "num_attention_heads",
      `up to ${MOST_HEADS_PER_KV} for each key-value head`,
      perKv,
    );
    for (const experts of [gateUp, down]) {
      // A token's input is quantized once for all experts that it goes to.
      const scales = new Set(experts.flatMap(({ input }) => input.kind === "fp8_static" ? [input.scale] : []));
      want(
        scales.size <= 1,
        words`${option("fp8Scales")} own: ${experts[0]?.module ?? ""}`,
        "one static scale for the experts of a layer",
        `${scales.size} of them`,
      );
    }
  }
  for (const { weight, rotation, module, input } of allLinears(source.tree)) {
    want(onGpus(input.kind), module ?? weight.name, NO_Q8, input.kind);
    want(rotation === undefined, `${module ?? weight.name}.input_rotation`, NO_ROTATION, "one");
    const { name, rowBytes, format, transposed } = weight;
    // Rows are addressed in whole numbers.
    const size = bytesOf(format, isMxFormat(format) ? BLOCK : 1);
    want(rowBytes % size === 0, name, `${format} rows of whole units of ${size} bytes`, `${rowBytes} bytes`);
    want(!transposed || size <= 4, name, "transposed storage of bf16, f32 and f16 only", format);
  }
}

/**
 * Checks that an input row of each linear fits the shared memory of a block of this device.
 *
 * @throws {InputError} naming the first that is too wide.
 */
export function checkWidths(source: ModelSource, calls: Calls): void {
  for (const { weight: { name, format, transposed, rows, cols } } of allLinears(source.tree)) {
    if (rows === 0 || calls.fits(`linear_${suffixOf(format, transposed)}`, cols)) continue;
    const { name: device, sharedBytesPerBlock: bytes } = calls.kernels.device.properties;
    throw InputError.of(
      "too_large",
      { name },
      `input rows that fit the ${bytes} bytes of shared memory that a block has on ${device}`,
      `${cols} columns`,
    );
  }
}
