/**
 * Which operation is broken: the one whose own error is far above what the settings' number formats explain.
 *
 * An operation's own error is its distance from the other side's result on equal inputs, so errors do not travel from
 * one operation to the next, and a defect shows where it is and nowhere else.
 */
import { median } from "../median.ts";
import { finite } from "./finite.ts";
import { measured, measuredShare } from "./report/numbers.ts";
import type { MeasuredError, OperationDivergence, RowDetails, Side, Suspect, TensorCounts } from "./comparison.ts";
import type { Interval } from "./statistics.ts";
import { sameInputFormat } from "../formats/input.ts";
import { type LinearName, linearsNamed, type LinearSource, type ModelSource } from "../checkpoint/source.ts";
import { inputsOf, operation as operationOf, type OperationName } from "../model/operations.ts";
import { cacheNoise, inputNoise, roundingFloor, weightNoise } from "./noise.ts";
import { sameRotation } from "../formats/rotation.ts";

/** Times that an error may exceed what is explained before it is suspect: GEMMs amplify noise by less. */
const EXCESS = 4;

/** Own relative error above which an operation, or a row of its result, is suspect. */
export function tolerance(explained: number, a: Side, b: Side): number {
  return Math.max(EXCESS * explained, roundingFloor(a, b));
}

/** Relative error of an operation on equal inputs that the difference of the two settings' formats accounts for. */
export function explainedError(layer: number, operation: OperationName, a: Side, b: Side): number {
  const { linear } = operationOf(operation);
  if (linear !== undefined) return linearNoise(linearsIn(a.source, layer, linear), linearsIn(b.source, layer, linear));
  if (operation === "embed") return matrixNoise(a.source.tree.embedding.format, b.source.tree.embedding.format);
  // Keys and values are both read from the cache.
  if (operation === "attention" && a.kvFormat !== b.kvFormat) {
    return Math.SQRT2 * Math.hypot(cacheNoise(a.kvFormat), cacheNoise(b.kvFormat));
  }
  return 0;
}

/** The linears of that name: one, or one for each expert, which all have the same formats. */
function linearsIn({ tree }: ModelSource, layer: number, name: LinearName | "head"): readonly LinearSource[] {
  if (name === "head") return [tree.head];
  const linears = tree.layers[layer];
  return linears === undefined ? [] : linearsNamed(linears, name);
}

function linearNoise(allOfA: readonly LinearSource[], allOfB: readonly LinearSource[]): number {
  const [a] = allOfA, [b] = allOfB;
  if (a === undefined || b === undefined) return 0;
  const alike = sameInputFormat(a.input, b.input) && sameRotation(a.rotation ?? null, b.rotation ?? null) &&
    !isMerged(allOfA, allOfB) && !isMerged(allOfB, allOfA);
  const inputs = alike ? 0 : Math.hypot(inputNoise(a.input), inputNoise(b.input));
  return Math.hypot(inputs, matrixNoise(a.weight.format, b.weight.format));
}

/**
 * Whether one side's experts share the largest of the static scales that the other side's have each: a choice of the
 * settings, while any other difference of scales between equal formats is what a defect looks like.
 */
function isMerged(merged: readonly LinearSource[], own: readonly LinearSource[]): boolean {
  const scales = (linears: readonly LinearSource[]) =>
    linears.map(({ input }) => input.kind === "fp8_static" ? input.scale : NaN);
  const shared = new Set(scales(merged)), each = scales(own);
  return shared.size === 1 && new Set(each).size > 1 && shared.has(Math.max(...each));
}

function matrixNoise(a: LinearSource["weight"]["format"], b: LinearSource["weight"]["format"]): number {
  return a === b ? 0 : Math.hypot(weightNoise(a), weightNoise(b));
}

/**
 * The suspects among the operations, in the order of the pass.
 *
 * @param details What is known about an operation's rows.
 */
export function findSuspects(
  operations: readonly OperationDivergence[],
  details: (operation: OperationDivergence) => RowDetails,
  tensors: readonly TensorCounts[],
  a: Side,
  b: Side,
): Suspect[] {
  const floor = roundingFloor(a, b);
  const suspects: Suspect[] = [];
  operations.forEach((o, i) => {
    const judged = o.own === null ? judgeTotal(operations, i, floor) : judgeOwn(operations, o, floor);
    if (judged === null) return;
    const hints = [
      ...judged.hints,
      ...hintsFor(o, details(o), tensors, tolerance(o.explained, a, b), a.config.experts),
    ];
    suspects.push({ layer: o.layer, operation: o.operation, explained: o.explained, ...judged, hints });
  });
  return suspects;
}

type Judged = Pick<Suspect, "error" | "excess" | "evidence" | "hints">;

function judgeOwn(operations: readonly OperationDivergence[], o: OperationDivergence, floor: number): Judged | null {
  const error = o.own!.relativeError;
  const excess = error === 0 ? 0 : error / Math.max(o.explained, floor / EXCESS);
  if (!(excess <= EXCESS)) return { error, excess, evidence: "own", hints: [] };
  // Formats differ here by intention, but this layer suffers more than its peers.
  const peers = operations.filter((p) => p.operation === o.operation && p.layer !== o.layer && p.own !== null);
  if (peers.length === 0 || o.explained === 0) return null;
  const usual = median(peers.map((p) => p.own!.relativeError));
  if (error <= EXCESS / 2 * Math.max(usual, o.explained)) return null;
  return { error, excess, evidence: "own", hints: [peersHint(o, peers.map(({ own }) => own!))] };
}

/**
 * How many times the median of its peers an error is. A median lies between those of the lower and of the upper ends
 * where all intervals hold, so that the quotient's is wider than it needs to be.
 */
function peersHint({ own }: OperationDivergence, peers: readonly MeasuredError[]): string {
  const middle = (end: (error: MeasuredError) => number) => median(peers.map(end));
  const low = middle(({ interval }) => interval?.low ?? 0), high = middle(({ interval }) => interval?.high ?? Infinity);
  const { relativeError: error, interval } = own!, usual = middle(({ relativeError }) => relativeError);
  if (usual === 0) return "most of the other layers have none";
  const ratio = {
    value: finite(error / usual),
    low: (interval?.low ?? 0) / high,
    high: interval === null || low === 0 ? null : interval.high / low,
  };
  return `${measured(ratio)} times the median of the other layers`;
}

function judgeTotal(operations: readonly OperationDivergence[], at: number, floor: number): Judged | null {
  const o = operations[at]!;
  const inputs = inputsOf(o.operation, operations.slice(0, at));
  const error = o.total.relativeError;
  const expected = Math.max(Math.hypot(o.explained, ...inputs.map((p) => p.total.relativeError)), floor / EXCESS);
  return error === 0 || error / expected <= EXCESS ? null : {
    error,
    excess: error / expected,
    evidence: "estimated",
    hints: ["both sides run on several ranks, so errors of earlier operations are only estimated"],
  };
}

/** Share of experts up to which a defect is said to be theirs alone. */
const FEW_EXPERTS = 0.25;
/** How many times more of a tensor must be lost on one side to be worth a word. */
const MUCH_MORE = 2;

function hintsFor(
  o: OperationDivergence,
  { firstPosition, affectedRows, affectedInterval, experts }: RowDetails,
  tensors: readonly TensorCounts[],
  limit: number,
  expertCount: number,
): string[] {
  const hints: string[] = [];
  const bad = [...experts].filter(([, error]) => !(error <= limit)).map(([e]) => e);
  if (bad.length > 0 && bad.length <= Math.max(1, FEW_EXPERTS * expertCount) && bad.length < experts.size) {
    hints.push(`only expert${bad.length === 1 ? "" : "s"} ${bad.sort((x, y) => x - y).join(", ")}`);
  }
  if (firstPosition !== null && firstPosition > 0 && bad.length === 0) hints.push(`from position ${firstPosition} on`);
  if (affectedRows > 0 && affectedRows < 0.5 && bad.length === 0) {
    hints.push(`${shareText(affectedRows, affectedInterval)} of rows`);
  }
  if (o.own !== null && o.own.nonFinite > 0) {
    const sides = Object.entries(o.own.nonFiniteIn).filter(([, count]) => count > 0);
    const counts = sides.map(([side, count]) => `${count} under ${side.toUpperCase()}`);
    hints.push(`elements that are NaN or infinite: ${counts.join(", ")}`);
  }
  for (const { name, layer, a, b } of tensors) {
    if (
      layer !== o.layer ||
      !(name === `${o.operation}.input` || o.operation === "attention" && name.startsWith("cache."))
    ) {
      continue;
    }
    if (a === null || b === null) {
      const [side, counts] = a === null ? ["B", b!] as const : ["A", a] as const;
      if (counts.clipped > 0) hints.push(`${name}: ${side} clips ${clippedText(counts)}`);
      continue;
    }
    if (a.scale !== b.scale) {
      hints.push(`${name}: scale ${a.scale?.toPrecision(4)} under A, ${b.scale?.toPrecision(4)} under B`);
    }
    const clips = [a.clipped / a.elements, b.clipped / b.elements] as const;
    if (Math.max(...clips) > MUCH_MORE * Math.min(...clips)) {
      hints.push(`${name}: A clips ${clippedText(a)}, B ${clippedText(b)}`);
    }
    if (Math.max(a.error, b.error) > MUCH_MORE * Math.min(a.error, b.error)) {
      hints.push(`${name} loses ${lossText(a)} under A, ${lossText(b)} under B`);
    }
  }
  return hints;
}

/** A share with its interval; both ends are open where there is none. */
const shareText = (value: number, interval: Interval | null): string =>
  measuredShare({ value: finite(value), low: finite(interval?.low ?? NaN), high: finite(interval?.high ?? NaN) });

type Counts = NonNullable<TensorCounts["a"]>;

const clippedText = ({ clipped, elements, intervals }: Counts): string =>
  shareText(clipped / elements, intervals.clipped);
const lossText = ({ error, errorInterval }: Counts): string => shareText(error, errorInterval);
