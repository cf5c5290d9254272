/**
 * The operations of a GPT-OSS forward pass as data, in the order of the pass: what each reads, what its rows are, which
 * weights it multiplies by, and how the results of a tensor or expert parallel run's ranks make the whole. Taps,
 * comparisons, calibration, the assembly of ranks and `inspect` all follow from this table; gpt_oss.ts beside it
 * computes them.
 */
import type { LinearName } from "../checkpoint/source.ts";

/**
 * How one operation's results of all ranks make the result of the whole model.
 *
 * - `same`: every rank holds all of it.
 * - `heads`, `kvHeads`: a rank holds the columns of its query heads, or of its key-value heads. Expert groups hold the
 *   same, and ranks may share a key-value head.
 * - `gateUp`, `intermediate`: a rank holds the columns of its part of the experts' width (gate and up interleaved:
 *   twice as many), and zeros for experts that another group owns.
 * - `terms`: the ranks' results are terms of a sum.
 */
export type Join = "same" | "heads" | "kvHeads" | "gateUp" | "intermediate" | "terms";

interface Row {
  readonly name: string;
  /** Operations whose results it reads; `residual`: the last one before it that wrote the residual stream. */
  readonly reads: readonly string[];
  /** What a row of the result is: a token, or a (token, k-th chosen expert) pair at row `token * topK + k`. */
  readonly rows: "token" | "slot";
  readonly join: Join;
  /** The linear that it multiplies its first input by: one of a layer's, or the head. */
  readonly linear?: LinearName | "head";
  /** Its result is what the residual stream becomes. */
  readonly residual?: true;
  /** Half of the KV cache that its result is written to. */
  readonly cache?: "key" | "value";
}

const TABLE = [
  { name: "embed", reads: [], rows: "token", join: "same", residual: true },
  { name: "inputNorm", reads: ["residual"], rows: "token", join: "same" },
  { name: "q_proj", reads: ["inputNorm"], rows: "token", join: "heads", linear: "q" },
  { name: "k_proj", reads: ["inputNorm"], rows: "token", join: "kvHeads", linear: "k" },
  { name: "v_proj", reads: ["inputNorm"], rows: "token", join: "kvHeads", linear: "v", cache: "value" },
  { name: "rotary.q", reads: ["q_proj"], rows: "token", join: "heads" },
  { name: "rotary.k", reads: ["k_proj"], rows: "token", join: "kvHeads", cache: "key" },
  { name: "attention", reads: ["rotary.q", "rotary.k", "v_proj"], rows: "token", join: "heads" },
  { name: "o_proj", reads: ["attention"], rows: "token", join: "same", linear: "o" },
  { name: "attentionResidual", reads: ["residual", "o_proj"], rows: "token", join: "same", residual: true },
  { name: "postNorm", reads: ["residual"], rows: "token", join: "same" },
  { name: "router", reads: ["postNorm"], rows: "token", join: "same", linear: "router" },
  { name: "route", reads: ["router"], rows: "token", join: "same" },
  { name: "experts.gate_up_proj", reads: ["postNorm"], rows: "slot", join: "gateUp", linear: "gateUp" },
  { name: "experts.swiglu", reads: ["experts.gate_up_proj"], rows: "slot", join: "intermediate" },
  { name: "experts.down_proj", reads: ["experts.swiglu"], rows: "slot", join: "terms", linear: "down" },
  { name: "experts.combine", reads: ["experts.down_proj", "route"], rows: "token", join: "same" },
  { name: "mlpResidual", reads: ["residual", "experts.combine"], rows: "token", join: "same", residual: true },
  { name: "finalNorm", reads: ["residual"], rows: "token", join: "same" },
  { name: "lm_head", reads: ["finalNorm"], rows: "token", join: "same", linear: "head" },
] as const satisfies readonly Row[];

/** Name of an operation of the pass. */
export type OperationName = (typeof TABLE)[number]["name"];

/** Operations whose results taps see: all but the head, whose results are the logits. */
export type TappedOperation = Exclude<OperationName, "lm_head">;

/** One operation of the pass. */
export interface Operation<N extends OperationName = OperationName> extends Row {
  readonly name: N;
  readonly reads: readonly (TappedOperation | "residual")[];
}

/** All operations, in the order of the pass. */
export const OPERATIONS: readonly Operation[] = TABLE;

const BY_NAME: ReadonlyMap<OperationName, Operation> = new Map(OPERATIONS.map((o) => [o.name, o]));

/** The operation of that name. */
export function operation(name: OperationName): Operation {
  return BY_NAME.get(name)!;
}

/** Place of an operation in the pass, from 0. */
export function placeInPass(name: OperationName): number {
  return OPERATIONS.indexOf(operation(name));
}

/** Operations whose results are what the residual stream becomes. */
const RESIDUAL: ReadonlySet<string> = new Set(OPERATIONS.filter((o) => o.residual).map((o) => o.name));

/**
 * The results that an operation reads, among those computed before it.
 *
 * @param before What was computed before, in the order of the pass.
 * @returns For each input that was computed the latest of its name.
 */
export function inputsOf<T extends { readonly operation: OperationName }>(
  name: OperationName,
  before: readonly T[],
): T[] {
  return operation(name).reads
    .map((read) =>
      before.findLast(({ operation }) => read === "residual" ? RESIDUAL.has(operation) : operation === read)
    )
    .filter((found) => found !== undefined);
}

/** The operation that multiplies by a linear. */
export function operationWith(linear: LinearName | "head"): Operation {
  return OPERATIONS.find((o) => o.linear === linear)!;
}

/**
 * The operation whose result is the input of a linear; `finalNorm` for the head.
 *
 * @throws {TypeError} if the linear reads the residual stream, which no linear of the graph does.
 */
export function inputOperation(linear: LinearName | "head"): TappedOperation {
  const [read] = operationWith(linear).reads;
  if (read === undefined || read === "residual") throw new TypeError(`${linear} reads no operation`);
  return read;
}
