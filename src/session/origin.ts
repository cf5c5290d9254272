/**
 * Where a NaN or an infinity began: a batch whose logits are not finite is computed once more, and each operation's
 * result is looked at. Nothing here runs while logits are finite.
 */
import type { OperationName } from "../model/operations.ts";
import type { Batch } from "../model/backend.ts";
import type { ModelSource } from "../checkpoint/source.ts";
import { FailureError, InputError } from "../errors.ts";
import { allFinite, firstNonFinite } from "../formats/finite.ts";
import type { Engine } from "../model/engine.ts";
import { type Culprit, culpritOf, type Origin } from "./origin_weights.ts";
import { type Text, words } from "../words.ts";

/** A sequence's tokens, from its first. */
export interface Sequence {
  readonly slot: number;
  readonly tokens: ArrayLike<number>;
  /** Where it shares pages with others: gives the next of its batches pages; null where there are none. */
  readonly place?: (batch: Batch) => Batch | null;
}

/** What was seen, for the first words of the message. */
export interface Sighting {
  /** In which row of the batch. */
  readonly row: number;
  /** What is not a number, for instance `logits of position 7`. */
  readonly what: Text;
  readonly value: number | null;
}

/**
 * The error to stop with.
 *
 * @param batch The batch of the sighting, whose sequences are `sequences` up to it.
 * @param source The weights, to name the tensor; absent: the operation is named.
 * @param maxTokens Tokens of one batch.
 */
export async function explain(
  engine: Engine,
  batch: Batch,
  sighting: Sighting,
  sequence: Sequence,
  source: ModelSource | undefined,
  maxTokens: number,
): Promise<Error> {
  let origin = await originIn(engine, batch, sighting.row);
  // Keys and values of earlier batches may not be finite: then the sequence is searched from its beginning.
  if (origin === null || origin.operation === "attention") {
    const found = await originOf(engine, sequence, maxTokens);
    if (found !== undefined) origin = found;
  }
  const seen = words`${sighting.what}: expected numbers, got ${sighting.value ?? "NaN or Infinity"}`;
  if (origin === null) {
    return new FailureError(words`${seen}; computed once more, all are numbers: memory or files changed meanwhile`);
  }
  const place = placeOf(origin), culprit = source && await culpritOf(origin, source);
  if (culprit) {
    return InputError.saying("wrong_value", { name: words`${seen}; it began in ${place}` }, culpritText(culprit));
  }
  return new FailureError(
    words`${seen}; it began in ${place} with ${origin.value}, of input${
      source ? " and weights that are numbers: they exceed what the dtype holds" : " that is numbers"
    }`,
  );
}

function culpritText({ path, name, value, at }: Culprit): string {
  return `${path}: tensor ${name} holds ${value} in ${at}`;
}

function placeOf({ layer, operation, expert, position, id }: Origin): string {
  const outside = operation === "embed" || operation === "finalNorm" || operation === "lm_head";
  return `${outside ? "" : `layer ${layer}, `}${operation}${expert === null ? "" : ` of expert ${expert}`} ` +
    `at position ${position} (token ${id})`;
}

/**
 * Computes a sequence from its beginning, batch by batch, up to the first result that is not finite.
 *
 * @returns Null where all are; undefined where it has no room any more.
 */
async function originOf(engine: Engine, sequence: Sequence, maxTokens: number): Promise<Origin | null | undefined> {
  const { slot, tokens, place } = sequence;
  for (let at = 0; at < tokens.length; at += maxTokens) {
    const count = Math.min(maxTokens, tokens.length - at);
    const batch: Batch = {
      ids: Int32Array.from({ length: count }, (_, i) => tokens[at + i]!),
      slots: new Int32Array(count).fill(slot),
      positions: Int32Array.from({ length: count }, (_, i) => at + i),
    };
    const placed = place === undefined ? batch : place(batch);
    if (placed === null) return undefined;
    const origin = await originIn(engine, placed, count - 1);
    if (origin !== null) return origin;
  }
  return null;
}

/** Computes a batch once more; its keys and values are the same, so that the cache keeps what it has. */
async function originIn(engine: Engine, batch: Batch, logitRow: number): Promise<Origin | null> {
  let origin: Origin | null = null, experts: Int32Array = new Int32Array(0);
  const keep = (
    layer: number,
    operation: OperationName,
    row: number,
    rows: number,
    column: number,
    value: number,
  ) => {
    // Results inside the experts have a row for each chosen expert of a token.
    const token = Math.floor(row * batch.ids.length / rows),
      inExperts = rows > batch.ids.length ||
        ["experts.gate_up_proj", "experts.swiglu", "experts.down_proj"].includes(operation);
    origin = {
      layer,
      operation,
      column,
      value,
      id: batch.ids[token]!,
      position: batch.positions[token]!,
      expert: inExperts ? experts[row] ?? null : null,
    };
  };
  let last = 0;
  await engine.compute(
    batch,
    Int32Array.of(logitRow),
    (row, logits) => {
      const column = firstNonFinite(logits);
      if (origin === null && column >= 0) keep(last, "lm_head", row, batch.ids.length, column, logits[column]!);
    },
    ({ layer, operation, rows, width, read, experts: chosen }) => {
      last = layer;
      if (origin !== null) return;
      if (chosen) experts = chosen();
      const values = read();
      if (allFinite(values)) return;
      const at = firstNonFinite(values);
      keep(layer, operation, Math.floor(at / width), rows, at % width, values[at]!);
    },
  );
  return origin;
}
