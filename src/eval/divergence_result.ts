/** A comparison as results hold it. */
import type { DivergenceResult } from "./divergence_schema.ts";
import type { Divergence, MeasuredError } from "./comparison.ts";
import type { SequencePredictions } from "./predictions.ts";
import { finite } from "./finite.ts";
import { predictionsResult } from "./predictions_result.ts";
import type { QuantizedCounts } from "./quantized_tensors.ts";

/** The predictions of a comparison token by token, as they were before {@linkcode toResult}. */
export function predictionsIn({ logits }: DivergenceResult): SequencePredictions[] {
  let start = 0, predicted = 0;
  return logits.lengths.map((length, index): SequencePredictions => {
    const kl = logits.kl.slice(start, start + length), agrees = logits.agrees.slice(start, start + length);
    const next = (values: readonly (number | null)[]) => values.slice(predicted, predicted + length - 1);
    const sequence = { index, replyFrom: null, kl, agrees, nllA: next(logits.nll_a), nllB: next(logits.nll_b) };
    start += length;
    predicted += length - 1;
    return sequence;
  });
}

/** Renames and rounds nothing away: only what is not finite becomes null. */
export function toResult(d: Divergence): Omit<DivergenceResult, "projections"> {
  const { logits } = d;
  return {
    tokens: d.tokens,
    sequences: d.sequences,
    logits: {
      ...predictionsResult(logits.summary),
      kl: logits.sequences.flatMap(({ kl }) => kl),
      agrees: logits.sequences.map(({ agrees }) => agrees).join(""),
      lengths: logits.sequences.map(({ kl }) => kl.length),
      nll_a: logits.sequences.flatMap(({ nllA }) => nllA),
      nll_b: logits.sequences.flatMap(({ nllB }) => nllB),
    },
    alarm: d.alarm,
    first_above_alarm: d.firstAboveAlarm === null ? null : {
      layer: d.firstAboveAlarm.layer,
      operation: d.firstAboveAlarm.operation,
      relative_error: finite(d.firstAboveAlarm.relativeError),
    },
    suspects: d.suspects.map((s) => ({
      layer: s.layer,
      operation: s.operation,
      error: finite(s.error),
      explained: finite(s.explained),
      excess: finite(s.excess),
      evidence: s.evidence,
      hints: [...s.hints],
    })),
    operations: d.operations.map((o) => ({
      layer: o.layer,
      operation: o.operation,
      rows: o.total.rows,
      unmatched_rows: o.unmatchedRows,
      total: summaryResult(o.total),
      own: o.own === null ? null : summaryResult(o.own),
      explained: finite(o.explained),
      outliers: o.outliers.map(({ channel, magnitude, errorShare }) => ({
        channel,
        magnitude: finite(magnitude),
        error_share: finite(errorShare),
      })),
    })),
    router: {
      decisions: d.router.decisions,
      flipped: d.router.flipped,
      interval: d.router.interval && { ...d.router.interval },
      per_layer: [...d.router.perLayer],
      per_layer_intervals: d.router.perLayerIntervals.map((interval) => interval && { ...interval }),
      flips: d.router.flips.map((f) => ({ ...f, lost: [...f.lost], gained: [...f.gained], margin: finite(f.margin) })),
    },
    tensors: d.tensors.map(({ name, layer, a, b, changes }) => ({
      name,
      layer,
      a: a === null ? null : countsResult(a),
      b: b === null ? null : countsResult(b),
      scales_changed: changes?.scales ?? null,
      codes_changed: changes?.codes ?? null,
      scales_changed_interval: changes?.scalesInterval ?? null,
      codes_changed_interval: changes?.codesInterval ?? null,
    })),
    largest: d.largest.map(({ what, among, layer, operation, interval, others }) => ({
      ...{ what, among, layer, operation },
      low: finite(interval.low),
      high: finite(interval.high),
      others: others.map((other) => ({ ...other })),
    })),
    pooled: d.pooled.map(({ what, operation, value, low, high }) => ({ what, operation, value, low, high })),
  };
}

function summaryResult({ relativeError, interval, sqnrDb, maxError, nonFinite }: MeasuredError) {
  return {
    relative_error: finite(relativeError),
    interval: interval && { low: finite(interval.low), high: finite(interval.high) },
    sqnr_db: finite(sqnrDb),
    max_error: finite(maxError),
    non_finite: nonFinite,
  };
}

function countsResult(counts: QuantizedCounts) {
  const { format, scale, elements, clipped, atMax, flushed, intervals, error, errorInterval } = counts;
  return {
    format,
    scale: scale === null ? null : finite(scale),
    elements,
    clipped,
    at_max: atMax,
    flushed,
    clipped_interval: intervals.clipped && { ...intervals.clipped },
    at_max_interval: intervals.atMax && { ...intervals.atMax },
    flushed_interval: intervals.flushed && { ...intervals.flushed },
    error: finite(error),
    error_interval: errorInterval && { ...errorInterval },
  };
}
