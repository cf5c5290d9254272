/** The comparison with llama.cpp, with programs that print what llama.cpp's benches print. In `deno task test:soak`. */
import { assertEquals, assertMatch } from "../assert.ts";
import { writeExecutable } from "../executable.ts";
import { SOAK } from "../soak.ts";

const SCRIPT = new URL("../../bench/peers/llama.ts", import.meta.url).pathname;

Deno.test({
  name: `bench/peers measures both in turns and prints ratios${SOAK ? "" : " (skipped: a soak)"}`,
  ignore: !SOAK || Deno.build.os === "windows",
  fn: async () => {
    const dir = await Deno.makeTempDir();
    try {
      await Deno.mkdir(`${dir}/build/bin`, { recursive: true });
      for (const name of ["llama-bench", "llama-batched-bench"]) {
        const answer = name === "llama-bench" ? '[{"avg_ts":4.0}]' : '{"speed_tg":8.0}';
        writeExecutable(`${dir}/build/bin/${name}`, `#!/bin/sh\necho '${answer}'\n`);
      }
      // The model of shape tiny with one layer, which the programs above do not read.
      await Deno.writeTextFile(`${dir}/random-1-64-96-8-4-4-2-32-256-8.gguf`, "");
      const args = [
        "--shape",
        "tiny",
        "--layers",
        "1",
        "--rounds",
        "2",
        "--schemes",
        "w_mxfp4",
        "--dir",
        dir,
        "--json",
      ];
      const options: Deno.CommandOptions = { args: ["run", "-A", SCRIPT, ...args], stdin: "null" };
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), options).output();
      const said = new TextDecoder().decode(stderr);
      assertEquals(code, 0, said);
      assertMatch(said, /round 2 of 2/);
      const { turns } = JSON.parse(new TextDecoder().decode(stdout));
      assertEquals(
        turns.map((turn: { what: string } & Record<"theirs" | "ours" | "float32", number[]>) => [
          turn.what,
          turn.theirs,
          turn.ours.map((rate) => rate > 0),
          turn.float32.map((rate) => rate > 0 && rate < Infinity),
        ]),
        [
          ["decode", [4, 4], [true, true], [true, true]],
          ["prefill", [4, 4], [true, true], [true, true]],
          ["batch", [8, 8], [true, true], [true, true]],
        ],
      );
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
