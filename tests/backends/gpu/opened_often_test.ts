import { assert } from "../../assert.ts";
import { withoutKernelCompiler } from "../../hip_host/kernels.ts";

const ignore = await withoutKernelCompiler() || Deno.build.os !== "linux";

Deno.test(
  { name: "the test library's kernels give back their stacks, 64 MiB a library, when unloaded", ignore },
  async () => {
    const script = new URL("opened_often.ts", import.meta.url).pathname;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", script] }).output();
    const text = new TextDecoder().decode(stdout);
    assert(code === 0, new TextDecoder().decode(stderr));
    // Seven openings more: 448 MiB if they kept their stacks.
    assert(Number(text) < 64 * 2 ** 20, `${text.trim()} bytes more may be written to`);
  },
);
