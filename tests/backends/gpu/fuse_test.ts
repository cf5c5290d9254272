import { fuse, type Fused } from "../../../src/backends/gpu/fuse.ts";
import type { DeviceRange } from "../../../ffi/runtime.ts";
import {
  labelOf,
  type NormReader,
  type Operation,
  type Step,
  type SumKind,
  type SumNorm,
} from "../../../src/backends/gpu/operations.ts";
import type { ExpertTable, GpuLinear, GpuTensor, GpuVector } from "../../../src/backends/gpu/tensors.ts";
import { NO_QDQ } from "../../../src/formats/input.ts";
import { assert, assertEquals } from "../../assert.ts";

const range = {} as DeviceRange;
const tensor = (name: string): GpuTensor => ({ name, rows: 1, rowsPerToken: 1, width: 32, stride: 32, range });
const linear: GpuLinear = {
  ...{ rows: 32, cols: 32, weight: range, scale: null, bias: null, rowStride: 64, scaleStride: 0, tensorScale: 1 },
  ...{ biasFormat: 0, flags: 0, format: "bf16", suffix: "bf16", input: NO_QDQ, multipliesCodes: false },
};
const vector: GpuVector = { length: 32, range, format: 0 };
const experts: ExpertTable = { records: range, count: 1, first: linear };
const NAMES = [
  ...["hidden", "normed", "query", "key", "value", "attended", "projected", "router", "gateUp", "activated"],
  ...["expertOut", "combined"],
] as const;
const t = Object.fromEntries(NAMES.map((name) => [name, tensor(name)])) as Record<typeof NAMES[number], GpuTensor>;

/** One layer as the graph asks for it. */
const LAYER: readonly Operation[] = [
  { kind: "rmsNorm", out: t.normed, x: t.hidden, weight: vector },
  { kind: "linear", outs: [t.query, t.key, t.value], x: t.normed, linears: [linear, linear, linear] },
  { kind: "rotate", q: t.query, k: t.key },
  { kind: "store", layer: 0, k: t.key, v: t.value },
  { kind: "attention", out: t.attended, q: t.query, layer: 0, sinks: vector },
  { kind: "linear", outs: [t.projected], x: t.attended, linears: [linear] },
  { kind: "add", h: t.hidden, y: t.projected },
  { kind: "rmsNorm", out: t.normed, x: t.hidden, weight: vector },
  { kind: "linear", outs: [t.router], x: t.normed, linears: [linear] },
  { kind: "route", logits: t.router },
  { kind: "expertGateUp", out: t.gateUp, x: t.normed, experts },
  { kind: "swiglu", out: t.activated, z: t.gateUp },
  { kind: "expertDown", out: t.expertOut, a: t.activated, experts },
  { kind: "combine", out: t.combined, y: t.expertOut },
  { kind: "add", h: t.hidden, y: t.combined },
];

/** Which steps there are kernels for. */
type CanFuse = Parameters<typeof fuse>[2];
const all = (can: () => boolean, sumNorm: CanFuse["sumNorm"]): CanFuse => ({
  ...{ rotateAttention: can, leaveAttended: can, normRoute: can, downCombine: can, sumRoute: can, sumCombine: can },
  // With it no test would see the steps that it takes the place of; it has one of its own.
  ...{ expertMlp: () => false, sumGiven: () => false },
  sumNorm,
});
const ALL = all(() => true, () => "prepared"), NONE = all(() => false, () => null);
const nobody = (tensor: GpuTensor) => tensor === t.hidden;
const everybody = () => true;

/** The norm that a sum's kernel writes besides. */
const normOf = ({ norm }: { readonly norm: SumNorm | null }) => norm?.written ? [norm.out] : [];

/** "linear hidden -> query, key, value +norm". */
function show(step: Step): string {
  const names = (tensors: readonly (GpuTensor | null)[]) => tensors.map((x) => x?.name ?? "-").join(", ");
  const flag = (on: boolean, text: string) => on ? ` +${text}` : "";
  switch (step.kind) {
    case "linear":
      return `linear ${step.x.name} -> ${names(step.outs)}${flag(step.norm !== null, "norm")}${
        flag(step.accumulate, "sum")
      }${flag(step.gives !== null, "gives")}`;
    case "rotateAttention":
      return `rotateAttention ${names([step.q, step.k, step.v])} -> ${step.out.name}`;
    case "normRoute":
      return `normRoute ${step.x.name} -> ${names([step.normed, step.logits])}${flag(step.sum !== null, "sum")}`;
    case "allReduce":
      return `allReduce ${step.x.name} -> ${names([step.h ?? step.x, ...normOf(step)])}${flag(step.given, "given")}`;
    case "expertGateUp":
      return `expertGateUp ${step.x.name} -> ${step.out.name}${flag(step.swiglu, "swiglu")}`;
    case "expertDownCombine":
      return `expertDownCombine ${step.a.name} -> ${step.out.name}${flag(step.accumulate, "sum")}${
        flag(step.group !== null, "ranks")
      }${normOf(step).map((normed) => `, ${normed.name}`).join("")}`;
    case "combine":
      return `combine ${step.y.name} -> ${step.out.name}${flag(step.accumulate, "sum")}`;
    default:
      return step.kind;
  }
}

/** A layer whose sums go over ranks. */
const SUMMED: readonly Operation[] = LAYER.flatMap((o): Operation[] =>
  o.kind === "add" ? [{ kind: "allReduce", x: o.y, group: "world" }, o] : [o]
);

const elidedNames = ({ elided }: Fused) => [...elided].map(({ name }) => name).sort();

Deno.test("fuse() makes six steps of a decode layer", () => {
  const fused = fuse(LAYER, nobody, ALL);
  assertEquals(fused.steps.map(show), [
    "linear hidden -> query, key, value +norm",
    "rotateAttention query, key, value -> attended",
    "linear attended -> hidden +sum",
    "normRoute hidden -> normed, -",
    "expertGateUp normed -> activated +swiglu",
    "expertDownCombine activated -> hidden +sum",
  ]);
  const elided = ["combined", "expertOut", "gateUp", "key", "projected", "query", "router"];
  assertEquals(elidedNames(fused), ["attended", ...elided]);
  // Whose kernel does not leave rows as they are read, or that is looked at afterwards, is written.
  assertEquals(elidedNames(fuse(LAYER, nobody, { ...ALL, leaveAttended: () => false })), elided);
  assertEquals(elidedNames(fuse(LAYER, (one) => one === t.attended || nobody(one), ALL)), elided);
  assertEquals(labelOf(fused.steps[0]!), "linear of hidden");
});

Deno.test("the kernel of the experts' weighted sums makes the norm of the layer after it", () => {
  const layers = [...LAYER, ...LAYER.slice(0, 2)];
  const last = (canFuse: typeof ALL) => fuse(layers, nobody, canFuse).steps.map(show).slice(-2);
  const down = "expertDownCombine activated -> hidden +sum", next = "linear normed -> query, key, value";
  assertEquals(last(ALL), [down, next]);
  assertEquals(last({ ...ALL, sumNorm: () => "rows" }), [`${down}, normed`, next]);
  assertEquals(last({ ...ALL, sumNorm: () => null }), [down, "linear hidden -> query, key, value +norm"]);
});

Deno.test("both products of the experts are one step where there is a kernel for them and nobody looks between", () => {
  const can: CanFuse = { ...ALL, expertMlp: () => true };
  const { steps, elided } = fuse(LAYER, nobody, can);
  const { kind, ...both } = steps.at(-1) as Extract<Step, { kind: "expertMlp" }>;
  assertEquals(kind, "expertMlp");
  assertEquals(both, { x: t.normed, up: experts, down: experts, out: t.hidden, accumulate: true, group: null });
  for (const skipped of [t.gateUp, t.activated, t.expertOut, t.combined]) assert(elided.has(skipped), skipped.name);
  const after = LAYER.slice(0, -1), kept = (...seen: GpuTensor[]) => (tensor: GpuTensor) => seen.includes(tensor);
  const alone = fuse(after, kept(t.combined), can), last = alone.steps.at(-1)!;
  assertEquals(last.kind === "expertMlp" && [last.out, last.accumulate], [t.combined, false]);
  assert(!alone.elided.has(t.combined));
  for (const looked of [t.gateUp, t.activated, t.expertOut]) {
    const found = fuse(LAYER, kept(t.hidden, looked), can);
    assert(!found.elided.has(looked) && found.steps.every(({ kind }) => kind !== "expertMlp"), looked.name);
  }
});

Deno.test("that step sums over ranks what is added, where a kernel can; else another one does", () => {
  const can: CanFuse = { ...ALL, expertMlp: () => true };
  const last = (canFuse: CanFuse, seen = nobody, operations = SUMMED) => {
    const { steps, elided } = fuse(operations, seen, canFuse), at = steps.findIndex(({ kind }) => kind === "expertMlp");
    const { out, accumulate, group } = steps[at] as Extract<Step, { kind: "expertMlp" }>;
    const after = steps.slice(at + 1).map(show);
    return [out.name, accumulate, group, elided.has(t.combined), ...after];
  };
  const apart = ["combined", false, null];
  assertEquals(last(can), ["hidden", true, "world", true]);
  assertEquals(last({ ...can, sumCombine: () => false }), [...apart, true, "allReduce combined -> hidden"]);
  const looked = (tensor: GpuTensor) => tensor === t.hidden || tensor === t.combined;
  assertEquals(last(can, looked), [...apart, false, "allReduce combined -> combined", "add"]);
  assertEquals(last(can, nobody, SUMMED.slice(0, -1)), [...apart, false, "allReduce combined -> combined"]);
});

Deno.test("fuse() keeps every tensor that is looked at afterwards", () => {
  const fused = fuse(LAYER, everybody, ALL);
  assertEquals(fused.steps.map(show), [
    // The first norm's result is overwritten by the second one's, so nobody sees it.
    "linear hidden -> query, key, value +norm",
    "rotateStore",
    "attention",
    "linear attended -> projected",
    "add",
    "normRoute hidden -> normed, router",
    "expertGateUp normed -> gateUp",
    "swiglu",
    "expertDown",
    "combine expertOut -> combined",
    "add",
  ]);
  assertEquals(elidedNames(fused), []);
});

Deno.test("fuse() rotates in place what is looked at afterwards", () => {
  for (const tensor of [t.query, t.key]) {
    const steps = fuse(LAYER, (one) => one === tensor || nobody(one), ALL).steps;
    assertEquals(steps.map(show).slice(1, 3), ["rotateStore", "attention"]);
  }
});

Deno.test("fuse() leaves apart what there is no kernel for", () => {
  const fused = fuse(LAYER, nobody, NONE);
  assertEquals(fused.steps.map(show).slice(1, 3), ["rotateStore", "attention"]);
  assertEquals(fused.steps.map(show).slice(4), [
    "rmsNorm",
    "linear normed -> router",
    "route",
    "expertGateUp normed -> activated +swiglu",
    "expertDown",
    "combine expertOut -> hidden +sum",
  ]);
});

Deno.test("fuse() does not join across an operation that looks at the tensor between", () => {
  const seenTwice: Operation[] = [
    { kind: "linear", outs: [t.projected], x: t.attended, linears: [linear] },
    { kind: "add", h: t.hidden, y: t.projected },
    { kind: "add", h: t.combined, y: t.projected },
  ];
  assertEquals(fuse(seenTwice, nobody, ALL).steps.map(show), ["linear attended -> projected", "add", "add"]);
  const normedAgain: Operation[] = [
    { kind: "rmsNorm", out: t.normed, x: t.hidden, weight: vector },
    { kind: "linear", outs: [t.query], x: t.normed, linears: [linear] },
    { kind: "linear", outs: [t.key], x: t.normed, linears: [linear] },
  ];
  assertEquals(fuse(normedAgain, nobody, ALL).steps.map(show), [
    "rmsNorm",
    "linear normed -> query",
    "linear normed -> key",
  ]);
  const doubled: Operation[] = [
    { kind: "linear", outs: [t.hidden], x: t.attended, linears: [linear] },
    { kind: "add", h: t.hidden, y: t.hidden },
  ];
  assertEquals(fuse(doubled, nobody, ALL).steps.map(show), ["linear attended -> hidden", "add"]);
});

Deno.test("fuse() gives contents back to a tensor that is written again", () => {
  const operations: Operation[] = [
    { kind: "linear", outs: [t.projected], x: t.attended, linears: [linear] },
    { kind: "add", h: t.hidden, y: t.projected },
    { kind: "linear", outs: [t.projected], x: t.hidden, linears: [linear] },
  ];
  const fused = fuse(operations, everybody, ALL);
  assertEquals(fused.steps.map(show), ["linear attended -> hidden +sum", "linear hidden -> projected"]);
  assertEquals(elidedNames(fused), []);
});

Deno.test("a sum over ranks is joined with the residual add, and with the choice of experts after it", () => {
  const at = LAYER.findIndex(({ kind }) => kind === "add");
  const summed = LAYER.toSpliced(at, 0, { kind: "allReduce", x: t.projected, group: "tensor" });
  const sums = (seen: (tensor: GpuTensor) => boolean, canFuse: typeof ALL) =>
    fuse(summed, seen, canFuse).steps.map(show).filter((text) => /allReduce|Route|^add|gives/.test(text));
  assertEquals(sums(nobody, { ...ALL, sumGiven: () => true }), ["normRoute hidden -> -, - +sum"]);
  assertEquals(sums(nobody, { ...ALL, sumNorm: () => "rows" }), ["normRoute hidden -> normed, - +sum"]);
  assertEquals(sums(nobody, { ...ALL, sumRoute: () => false }), [
    "allReduce projected -> hidden",
    "normRoute hidden -> normed, -",
  ]);
  // Where somebody looks at the sum, or at the router's logits, they are written.
  assertEquals(sums((tensor) => tensor !== t.projected, ALL)[0], "allReduce projected -> hidden");
  assertEquals(sums(everybody, ALL).slice(0, 2), ["allReduce projected -> projected", "add"]);
});

Deno.test("the kernel of a linear gives its rows to the sum over ranks that comes next, where it is added", () => {
  const gives = { ...ALL, normRoute: () => false, sumGiven: () => true };
  const sums = (seen: typeof nobody, of = SUMMED.slice(5, 8)) => fuse(of, seen, gives).steps.map(show);
  assertEquals(sums(nobody), ["linear attended -> projected +gives", "allReduce projected -> hidden +given"]);
  assertEquals(elidedNames(fuse(SUMMED, nobody, gives)).includes("projected"), true);
  // Where somebody looks at the sum it is written; where the linear's step makes a norm, it gives nothing.
  assertEquals(sums((tensor) => tensor === t.projected).slice(0, 1), ["linear attended -> projected"]);
  const norm: Operation = { kind: "rmsNorm", out: t.attended, x: t.query, weight: vector };
  assertEquals(sums(nobody, [norm, ...SUMMED.slice(5, 8)])[1], "allReduce projected -> hidden");
});

Deno.test("a sum over ranks of the experts' weighted sums is joined with these, where it is added", () => {
  const summed: Operation[] = LAYER.toSpliced(-1, 0, { kind: "allReduce", x: t.combined, group: "world" });
  const sums = (seen: (tensor: GpuTensor) => boolean, canFuse: typeof ALL, operations: readonly Operation[] = summed) =>
    fuse(operations, seen, canFuse).steps.map(show).slice(-2);
  const gateUp = "expertGateUp normed -> activated +swiglu";
  assertEquals(sums(nobody, ALL), [gateUp, "expertDownCombine activated -> hidden +sum +ranks"]);
  assertEquals(elidedNames(fuse(summed, nobody, ALL)).includes("combined"), true);
  const apart = ["expertDownCombine activated -> combined", "allReduce combined -> hidden"];
  assertEquals(sums(nobody, { ...ALL, sumCombine: () => false }), apart);
  // Where somebody looks at the sum it is written; where nothing is added to it, too.
  assertEquals(sums((tensor) => tensor !== t.expertOut, ALL), ["allReduce combined -> combined", "add"]);
  assertEquals(sums(nobody, ALL, summed.slice(0, -1)), [apart[0]!, "allReduce combined -> combined"]);
});

Deno.test("the kernel of a sum over ranks makes the norm after it, and its rows where they are read otherwise", () => {
  const apart = { ...ALL, normRoute: () => false, sumRoute: () => false };
  const asked: [string, number][] = [];
  const sumNorm = (kind: SumKind, _norm: GpuVector, readers: readonly NormReader[]) => {
    asked.push([kind, readers.length]);
    return "prepared" as const;
  };
  const fused = fuse([...SUMMED, ...LAYER.slice(0, 2)], nobody, { ...apart, sumNorm });
  const steps = fused.steps.map(show);
  assertEquals(steps.filter((step) => !/rotate|attention/.test(step)), [
    "linear hidden -> query, key, value +norm",
    "linear attended -> projected",
    "allReduce projected -> hidden",
    "linear normed -> router",
    "route",
    "expertGateUp normed -> activated +swiglu",
    "expertDownCombine activated -> hidden +sum +ranks",
    "linear normed -> query, key, value",
  ]);
  // Router and experts; q, k and v.
  assertEquals(asked, [["rows", 2], ["choices", 1]]);
  assert(elidedNames(fused).includes("normed"));
  const written = (seen: (tensor: GpuTensor) => boolean, canFuse: typeof ALL) =>
    fuse(SUMMED, seen, canFuse).steps.map(show).filter((step) => step.startsWith("allReduce"))[0];
  assertEquals(written(nobody, { ...apart, sumNorm: () => "rows" }), "allReduce projected -> hidden, normed");
  assertEquals(written((tensor) => tensor !== t.projected, apart), "allReduce projected -> hidden, normed");
  assertEquals(written(nobody, { ...apart, sumNorm: () => null }), "allReduce projected -> hidden");
});
