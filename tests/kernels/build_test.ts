/**
 * The committed kernels are those of the sources, as far as that can be told without a compiler; `deno task
 * kernels:check` compiles.
 */
import { Buffer } from "node:buffer";
import { assert, assertEquals } from "../assert.ts";
import { type Manifest, sha256, sourceHash } from "../../kernels/manifest.ts";
import { ALL_SIGNATURES, familiesOf } from "../../kernels/abi/signatures.ts";
import { NUMBERS, type NumberType, sizeOf, STRUCTS } from "../../kernels/abi/types.ts";
import { ARCHITECTURES, extensionOf, unitsOf } from "../../kernels/sources.ts";
import { allCases } from "../../src/verify/cases/all.ts";

const KERNELS = new URL("../../kernels/", import.meta.url);
const manifest = JSON.parse(await Deno.readTextFile(new URL("build/manifest.json", KERNELS))) as Manifest;

Deno.test("manifest.json was written for the kernel sources as they are", async () => {
  assertEquals(manifest.sourceHash, await sourceHash(KERNELS), "run: deno task kernels:build");
});

Deno.test("kernels/build holds exactly the files of the manifest", async () => {
  assertEquals(Object.keys(manifest.architectures), [...ARCHITECTURES]);
  for (const arch of ARCHITECTURES) {
    const folder = new URL(`build/${arch}/`, KERNELS), found: Record<string, string> = {};
    for await (const { name } of Deno.readDir(folder)) {
      found[name] = await sha256(await Deno.readFile(new URL(name, folder)));
    }
    assertEquals(found, { ...manifest.architectures[arch]!.files }, arch);
    assertEquals(
      Object.keys(found).sort(),
      unitsOf(arch).map(({ name }) => `${name}.${extensionOf(arch)}`).sort(),
      arch,
    );
  }
});

Deno.test("every compiled object contains its entry points", async () => {
  for (const [arch, { entries }] of Object.entries(manifest.architectures)) {
    const texts = new Map<string, string>();
    for (const [name, { file }] of Object.entries(entries)) {
      const path = new URL(`build/${arch}/${file}`, KERNELS);
      if (!texts.has(file)) texts.set(file, Buffer.from(await Deno.readFile(path)).toString("latin1"));
      const text = texts.get(file)!;
      assert(
        arch.startsWith("sm_") ? text.includes(`.entry ${name}(`) : text.includes(`\0${name}.kd\0`),
        `${arch}/${file}: ${name}`,
      );
    }
  }
});

Deno.test("no kernel of an AMD architecture spills or uses scratch memory", () => {
  for (const { entries } of Object.values(manifest.architectures)) {
    for (const [name, { resources }] of Object.entries(entries)) {
      if (resources) assertEquals([resources.spills, resources.scratch], [0, 0], name);
    }
  }
});

const CASES = allCases();

Deno.test("every entry point has a test case", () => {
  const tested = new Set(CASES.map(({ job }) => job.entry));
  const untested = ["sm_90", "sm_90a"].flatMap((arch) => Object.keys(manifest.architectures[arch]!.entries))
    .filter((name) => !tested.has(name));
  assertEquals(untested.filter((name) => !name.endsWith("_mma")), []);
});

Deno.test("the tests' own launches pass the arguments of the signatures", () => {
  for (const { job } of CASES) {
    const passed = job.arguments.map((argument) => argument.kind === "struct" ? argument.bytes.length : argument.kind);
    const types = Object.values(ALL_SIGNATURES[familiesOf(job.entry)[0]!].arguments);
    const expected = types.map((type) => {
      if (type.includes("*")) return "pointer";
      return type in STRUCTS ? sizeOf(type).bytes : NUMBERS[type as NumberType].c;
    });
    assertEquals(passed, expected, job.entry);
  }
});

Deno.test("launch traits do not differ between architectures", () => {
  const first = new Map<string, unknown>();
  for (const { entries } of Object.values(manifest.architectures)) {
    for (const [name, entry] of Object.entries(entries)) {
      const { threads, rowsPerBlock, tokensPerBlock, ldsPerColumn, ldsFixed } = entry;
      // AMD's kernels of batches are a source of their own.
      const lds = name.includes("batch_") ? null : { ldsPerColumn, ldsFixed };
      const traits = { threads, rowsPerBlock, tokensPerBlock, lds };
      if (!first.has(name)) first.set(name, traits);
      // Matrix instructions have their own tiles on every architecture.
      if (!name.endsWith("_mma")) assertEquals(traits, first.get(name), name);
    }
  }
});
