import { fuse } from "../../../src/backends/gpu/fuse.ts";
import {
  labelOf,
  type NormReader,
  type Operation,
  type Step,
  type SumKind,
} from "../../../src/backends/gpu/operations.ts";
import type { GpuTensor, GpuVector } from "../../../src/backends/gpu/tensors.ts";
import { assert, assertEquals } from "../../assert.ts";
import {
  ALL,
  type CanFuse,
  elidedNames,
  everybody,
  experts,
  LAYER,
  linear,
  nobody,
  NONE,
  show,
  SUMMED,
  t,
  vector,
} from "./layer.ts";

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

Deno.test("no step writes to what it reads of other rows, whatever graph asks for it", () => {
  const shown = (operations: readonly Operation[], canFuse = ALL) => fuse(operations, nobody, canFuse).steps.map(show);
  const norm: Operation = { kind: "rmsNorm", out: t.normed, x: t.hidden, weight: vector };
  const product = (out: GpuTensor, x: GpuTensor): Operation => ({ kind: "linear", outs: [out], x, linears: [linear] });
  const add: Operation = { kind: "add", h: t.hidden, y: t.projected };
  assertEquals(shown([product(t.projected, t.hidden), add]), ["linear hidden -> projected", "add"]);
  assertEquals(shown([norm, product(t.projected, t.normed), add]), ["linear hidden -> projected +norm", "add"]);
  assertEquals(shown([norm, product(t.hidden, t.normed)]), ["rmsNorm", "linear normed -> hidden"]);
  const reduce: Operation = { kind: "allReduce", x: t.projected, group: "tensor" };
  const gives = { ...ALL, sumGiven: () => true };
  assertEquals(shown([product(t.projected, t.hidden), reduce, add], gives), [
    "linear hidden -> projected",
    "allReduce projected -> hidden",
  ]);
  // A norm of the sum that goes where its terms lie, alone and before the choice of experts.
  const normed: Operation = { kind: "rmsNorm", out: t.projected, x: t.hidden, weight: vector };
  assertEquals(shown([reduce, add, normed], { ...ALL, sumNorm: () => "rows" }), [
    "allReduce projected -> hidden",
    "rmsNorm",
  ]);
  assertEquals(shown([reduce, add, normed, product(t.router, t.projected), { kind: "route", logits: t.router }]), [
    "allReduce projected -> hidden",
    "normRoute hidden -> -, -",
  ]);
  const down = LAYER.slice(-3),
    mlp = (x: GpuTensor, h: GpuTensor): readonly Operation[] => [
      { kind: "expertGateUp", out: t.gateUp, x, experts },
      { kind: "swiglu", out: t.activated, z: t.gateUp },
      ...down.slice(0, 2),
      { kind: "add", h, y: t.combined },
    ];
  const can: CanFuse = { ...ALL, expertMlp: () => true }, up = "expertGateUp hidden -> activated +swiglu";
  assertEquals(shown(mlp(t.normed, t.hidden), can), ["expertMlp"]);
  assertEquals(shown(mlp(t.hidden, t.hidden), can), [up, "expertDownCombine activated -> hidden +sum"]);
  assertEquals(shown(mlp(t.hidden, t.activated), ALL), [up, "expertDown", "combine expertOut -> activated +sum"]);
  const apart = { ...ALL, downCombine: () => false };
  assertEquals(shown(mlp(t.hidden, t.expertOut), apart), [up, "expertDown", "combine expertOut -> combined", "add"]);
  const again: Operation = { kind: "rmsNorm", out: t.activated, x: t.hidden, weight: vector };
  const rows: CanFuse = { ...ALL, sumNorm: () => "rows" };
  assertEquals(shown([...down, again], rows), ["expertDownCombine activated -> hidden +sum", "rmsNorm"]);
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
