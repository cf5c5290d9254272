/** That bench/gpu/floor.hip, which no build compiles, has every kernel that bench/gpu/floor.ts launches. */
import { ways } from "../../bench/gpu/floor_ways.ts";
import { compileArguments } from "../../kernels/sources.ts";
import { assert, assertEquals } from "../assert.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";

/** Shared memory that a block of an H100 may have. */
const MOST = 227 * 1024;

Deno.test("the ways of reading have names of their own, and as many copies as there is room for", () => {
  const all = ways(MOST);
  const without = all.map((way) => JSON.stringify({ ...way, name: "" }));
  assertEquals([new Set(without).size, new Set(all.map(({ name }) => name)).size], [all.length, all.length]);
  for (const { lds, chunk, places, entry } of all) {
    assert(lds < MOST && places <= 32 && (entry !== "floor_bulk" || lds === chunk * places));
  }
});

Deno.test({
  name: "floor.hip has the kernels of every way of reading",
  ignore: await withoutKernelCompiler(),
  fn: async () => {
    const to = await Deno.makeTempFile(), cwd = new URL("../../kernels/", import.meta.url);
    try {
      const unit = { name: "floor", source: "../bench/gpu/floor.hip", defines: [] };
      const command = new Deno.Command("clang-22", { args: compileArguments("sm_90a", unit, to), cwd });
      const { success, stderr } = await command.output();
      assert(success, new TextDecoder().decode(stderr));
      const ptx = await Deno.readTextFile(to);
      const entries = new Set(Array.from(ptx.matchAll(/\.visible \.entry (\w+)\(/g), ([, name]) => name!));
      assertEquals(new Set([...ways(MOST).map(({ entry }) => entry), "floor_choose"]), entries);
    } finally {
      await Deno.remove(to);
    }
  },
});
