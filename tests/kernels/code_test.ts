/** What is done to compiled files for architectures that have none of their own gives what the compiler gives. */
import { compileArguments, type Unit, unitsOf } from "../../kernels/sources.ts";
import { adapted, type Code } from "../../src/backends/gpu/code.ts";
import { committedKernels } from "../../src/backends/gpu/kernels.ts";
import { assert, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { dose } from "../soak.ts";

const ignore = await withoutKernelCompiler();
const KERNELS = new URL("../../kernels/", import.meta.url);
const files = committedKernels();

/**
 * Units that stand for all, which were compared once: one that takes a tenth of a second, in a soak those with matrix
 * instructions as well.
 */
const STANDING = dose(["add"], ["add", "qdq", "attention_split", "gemm_mma.mxfp4", "linear.fp8", "expert.bf16_t"]);

/** What clang-22 makes of a unit for another architecture. */
function compiled(unit: Unit, made: string, instead: string): Uint8Array<ArrayBuffer> {
  using dir = new TemporaryDirectory();
  const out = `${dir.path}/out`, own = made as Parameters<typeof compileArguments>[0];
  const args = compileArguments(own, unit, out).map((word) => word.replace(`=${made}`, `=${instead}`));
  const { success, stderr } = new Deno.Command("clang-22", { args, cwd: KERNELS, stdin: "null" }).outputSync();
  assert(success, new TextDecoder().decode(stderr));
  return Deno.readFileSync(out);
}

const units = (arch: "gfx1201" | "sm_90") => unitsOf(arch).filter(({ name }) => STANDING.includes(name));

Deno.test({ name: "gfx1200 is given what clang compiles for it", ignore }, () => {
  const code: Code = { arch: "gfx1201", kind: "twin" };
  for (const unit of units("gfx1201")) {
    const got = adapted(files.read("gfx1201", `${unit.name}.co`), code, "gfx1200");
    assertEquals(got, compiled(unit, "gfx1201", "gfx1200"), unit.name);
  }
});

Deno.test({
  name: "sm_80 to sm_89 are given what clang compiles for sm_80, without waiting for the launch ahead",
  ignore,
}, () => {
  const code: Code = { arch: "sm_90", kind: "generic" }, text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  for (const unit of units("sm_90")) {
    const image = files.read("sm_90", `${unit.name}.ptx`), got = text(adapted(image, code, "sm_89"));
    // What the sources say in assembler is the same for both, and so are its replacements.
    assertEquals(got, text(adapted(compiled(unit, "sm_90", "sm_80"), code, "sm_89")), unit.name);
    assert(text(image).includes("griddepcontrol.") && got.includes(".target sm_80\n"), unit.name);
  }
});

Deno.test("no PTX has an instruction that sm_80 lacks, but those that are taken out", () => {
  const code: Code = { arch: "sm_90", kind: "generic" };
  // Instructions of sm_90: bulk copies, clusters, wgmma, bf16 but for multiply-adds, and what begins with them. ptxas
  // of CUDA 13.0 took every file for sm_80, sm_86, sm_87 and sm_89, and as it is for sm_90, sm_100 and sm_120.
  const newer =
    /griddepcontrol|wgmma|cp\.async\.bulk|mapa|cluster|elect\.sync|fence\.proxy|setmaxnreg|(?:mul|add|sub)\S*\.bf16/;
  let products = 0;
  for (const file of Object.keys(files.architecture("sm_90")!.files)) {
    const text = new TextDecoder().decode(adapted(files.read("sm_90", file), code, "sm_80"));
    assert(!newer.test(text), file);
    products += text.split("fma.rn.bf16x2 ").length - 1;
  }
  assert(products > 500, `${products} products`);
});
