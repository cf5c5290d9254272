/** The signatures of kernels/abi are those of the sources, of every compiled object and of kernels/ABI.md. */
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { kindNumber, ruleNumber } from "../../src/formats/input.ts";
import type { LaunchTraits, Manifest } from "../../kernels/manifest.ts";
import { writtenPage } from "../../kernels/abi/page.ts";
import { ALL_SIGNATURES, familiesOf, type Family, matches } from "../../kernels/abi/signatures.ts";
import {
  cName,
  declaration,
  layoutOf,
  QDQ_KIND,
  SCALE_RULE,
  sizeOf,
  STRUCTS,
  type StructType,
} from "../../kernels/abi/types.ts";
import { codeObjectArguments, type CompiledArguments, ptxArguments } from "./compiled_arguments.ts";
import { cacheStruct, groupStruct, inputStruct, linearStruct } from "../../src/verify/cases/structs.ts";
import { output } from "../../src/verify/cases/job.ts";

const KERNELS = new URL("../../kernels/", import.meta.url);
const manifest = JSON.parse(await Deno.readTextFile(new URL("build/manifest.json", KERNELS))) as Manifest;
const FAMILIES = Object.keys(ALL_SIGNATURES) as Family[];

Deno.test("kernels/ABI.md says what the signatures say", async () => {
  const page = await Deno.readTextFile(new URL("ABI.md", KERNELS));
  assert(page === writtenPage(page, manifest), "run: deno task kernels:page");
});

Deno.test("every compiled entry point has one signature, and every signature an entry point", () => {
  const used = new Set<string>();
  for (const { entries } of Object.values(manifest.architectures)) {
    for (const entry of Object.keys(entries)) {
      const families = familiesOf(entry);
      assertEquals(families.length, 1, `${entry}: ${families}`);
      for (const name of ALL_SIGNATURES[families[0]!].names) if (matches(name, entry)) used.add(name);
    }
  }
  assertEquals(FAMILIES.flatMap((family) => ALL_SIGNATURES[family].names.filter((name) => !used.has(name))), []);
});

Deno.test("a signature stages rows wherever its kernels have dynamic shared memory for them", () => {
  for (const { entries } of Object.values(manifest.architectures)) {
    for (const [entry, { ldsPerColumn }] of Object.entries(entries)) {
      const { staged } = ALL_SIGNATURES[familiesOf(entry)[0]!];
      if (ldsPerColumn > 0) assert(staged !== undefined, entry);
    }
  }
});

/** Compares one object with the signatures; returns how many arguments it compared. */
function compare(compiled: CompiledArguments, where: string): number {
  let count = 0;
  for (const [entry, found] of compiled) {
    const all = ALL_SIGNATURES[familiesOf(entry)[0]!].arguments, { offsets } = layoutOf(all);
    const expected = Object.entries(all).map(([name, type], i) => {
      const { offset = null, alignment = null, pointer = null } = found[i] ?? {};
      return {
        offset: offset === null ? null : offsets[name],
        bytes: sizeOf(type).bytes,
        alignment: alignment === null ? null : sizeOf(type).alignment,
        pointer: pointer === null ? null : type.includes("*"),
      };
    });
    assertEquals(found, expected, `${where}: ${entry}`);
    count += found.length;
  }
  return count;
}

for (const [arch, { files, entries }] of Object.entries(manifest.architectures)) {
  Deno.test(`the arguments of every object of ${arch} are those of the signatures`, async () => {
    const seen = new Set<string>();
    let count = 0;
    for (const file of Object.keys(files)) {
      const bytes = await Deno.readFile(new URL(`build/${arch}/${file}`, KERNELS));
      const compiled = file.endsWith(".ptx")
        ? ptxArguments(new TextDecoder().decode(bytes))
        : codeObjectArguments(bytes);
      count += compare(compiled, `${arch}/${file}`);
      for (const entry of compiled.keys()) seen.add(entry);
    }
    assertEquals([...seen].sort(), Object.keys(entries).sort());
    // What stands beside another architecture has few.
    assert(count > (arch === "sm_90a" ? 40 : 600), `${count} arguments`);
  });
}

Deno.test("objects with other arguments than the signatures' are found out", () => {
  const swapped = ptxArguments(".visible .entry add(\n.param .u64 a,\n.param .u64 b\n)");
  assertThrows(() => compare(swapped, "planted"), Error, "planted: add");
  assertEquals(ptxArguments(".visible .entry f(.param .align 8 .b8 f_param_0[320])").get("f"), [
    { offset: null, bytes: 320, alignment: 8, pointer: null },
  ]);
});

/** Parameter lists of the entry points of all sources, each with the names that it stands for. */
async function sourceLists(): Promise<{ readonly file: string; readonly name: string; readonly list: string }[]> {
  const found: { file: string; name: string; list: string }[] = [];
  for await (const { name: file } of Deno.readDir(KERNELS)) {
    if (!file.endsWith(".hip")) continue;
    const text = (await Deno.readTextFile(new URL(file, KERNELS))).replaceAll(/\\?\n/g, " ");
    for (const [, name, list] of text.matchAll(/MX_ENTRY(?:_RESIDENT)?\((\w+),[^)]*\)\s*\(([^{]*?)\)\s*\{/g)) {
      const plain = list!.replaceAll("[[maybe_unused]]", "").replaceAll(/\s+/g, " ").replaceAll(" ,", ",").trim();
      found.push({ file, name: name!, list: plain });
    }
  }
  return found;
}

Deno.test("the sources declare every argument by the name and type of a signature", async () => {
  const lists = new Map<string, Family[]>();
  for (const family of FAMILIES) {
    const list = Object.entries(ALL_SIGNATURES[family].arguments).map(([name, type]) => declaration(name, type)).join(
      ", ",
    );
    lists.set(list, [...lists.get(list) ?? [], family]);
  }
  const declared = new Set<Family>();
  for (const { file, name, list } of await sourceLists()) {
    const families = lists.get(list);
    assert(families, `${file}: ${name}(${list}): no signature has these arguments`);
    // A macro's entry points have "name" for a name; the compiled objects say which they are.
    if (name !== "name") assert(familiesOf(name).every((family) => families.includes(family)), `${file}: ${name}`);
    for (const family of families) declared.add(family);
  }
  assertEquals(FAMILIES.filter((family) => !declared.has(family)), []);
});

Deno.test("the sources declare the structs as the signatures have them", async () => {
  const text = await Deno.readTextFile(new URL("common/abi.h", KERNELS));
  for (const name of Object.keys(STRUCTS) as StructType[]) {
    const [, body] = new RegExp(`struct ${name} \\{([^}]*)\\}`).exec(text)!;
    // "i32 heads, kv_heads;" and "void *k, *v;" declare one member after the other.
    const declared = body!.trim().split(/;\s*/).filter((line) => line !== "").flatMap((line) => {
      const [, type, names] = /^((?:const )?\w+) (.*)$/.exec(line)!;
      return names!.split(", ").map((one) => `${type} ${one}`);
    });
    assertEquals(declared, Object.entries(STRUCTS[name]).map(([member, type]) => declaration(member, type)), name);
  }
});

Deno.test("structs have the sizes that the tests' own structs have", () => {
  const x = output(4);
  const linear = { weight: null, scale: null, bias: null, rowStride: 0, scaleStride: 0, rows: 0, cols: 0 };
  const own = {
    MxLinear: linearStruct({ ...linear, tensorScale: 1, biasFormat: 0, fnuz: false }),
    MxGroup: groupStruct([], []),
    MxInput: inputStruct({ x, stride: 0 }),
    MxCache: cacheStruct({
      ...{ k: x, v: x, pages: x, headStride: 0, format: 0, tableStride: 0, heads: 0, kvHeads: 0, headDim: 1 },
      ...{ window: 0, kScale: 1, vScale: 1 },
    }),
  };
  for (const [name, struct] of Object.entries(own)) assertEquals(struct.done().bytes.length, sizeOf(name).bytes, name);
});

Deno.test("kinds and rules have the numbers that WebAssembly knows them by", () => {
  for (const element of ["e2m1", "e3m2", "e2m3", "e4m3fn"] as const) {
    assertEquals(kindNumber({ kind: "mx", element, rule: "even" }), QDQ_KIND[element]);
  }
  assertEquals(kindNumber({ kind: "none" }), QDQ_KIND.none);
  assertEquals(kindNumber({ kind: "fp8_static", scale: 1 }), QDQ_KIND.fp8Static);
  assertEquals(kindNumber({ kind: "fp8_token" }), QDQ_KIND.fp8Token);
  const rules = (["even", "floor", "rceil"] as const).map(ruleNumber);
  assertEquals(rules, [SCALE_RULE.even, SCALE_RULE.floor, SCALE_RULE.rceil]);
});

/** What a grid's text comes to, where names mean the numbers of `scope`. */
function evaluate(text: string, scope: Readonly<Record<string, unknown>>): number[] {
  const names = Object.keys(scope);
  return new Function(...names, `return [${text.slice(1, -1)}]`)(...names.map((name) => scope[name])) as number[];
}

Deno.test("the grid that a signature computes is the one that it says", () => {
  const traits: LaunchTraits = { threads: 256, rowsPerBlock: 6, tokensPerBlock: 4, ldsPerColumn: 0, ldsFixed: 0 };
  const rows = [13, 7], tiles = (r: number) => Math.ceil(r / 6);
  for (const family of FAMILIES) {
    const { arguments: all, sizes = [], grid, blocks } = ALL_SIGNATURES[family];
    // Every number another prime.
    let prime = 0;
    const next = () => [11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73][prime++]!;
    const values: Record<string, unknown> = {};
    const scope: Record<string, unknown> = { ceil: Math.ceil, min: Math.min, tokensPerBlock: 4 };
    for (const name of [...Object.keys(all), ...sizes]) {
      scope[cName(name).replace(/^in$/, "input")] = values[name] = next();
    }
    if ("cache" in all) values["cache"] = { heads: 48, kvHeads: 3, headDim: 80 };
    if ("group" in all) values["group"] = { linear: rows.map((r) => ({ rows: r })) };
    const caches = "cache" in all ? { heads: 48, head_dim: 80 } : {};
    Object.assign(scope, caches, { kv_heads: 3, group: "group" });
    scope["tiles"] = (r: number | string) => r === "group" ? tiles(13) + tiles(7) : tiles(r as number);
    const expected = evaluate(grid, scope);
    assertEquals(blocks(values as never, traits), [...expected, 1, 1].slice(0, 3), family);
  }
});
