/** Names and texts of the system that are not UTF-8: Deno shows them as others, or refuses them in its own words. */
import { refuseOtherBytes } from "../../src/cli/raw_arguments.ts";
import { environmentVariable } from "../../src/environment.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { ONLY_SOAKED, SOAK } from "../soak.ts";
import { BrokenCheckpoint } from "./broken.ts";
import { inProcess } from "./in_process.ts";
import { mxoss } from "./program.ts";

Deno.test("arguments of other bytes than UTF-8 are refused, and the character that stands for them is not", () => {
  const typed = (...bytes: number[]) => () => Uint8Array.from([0x6d, 0, ...bytes, 0]);
  refuseOtherBytes(["caf\u00e9"], () => {
    throw new Error("asked for nothing");
  });
  refuseOtherBytes(["caf\ufffd"], typed(0x63, 0x61, 0x66, 0xef, 0xbf, 0xbd));
  refuseOtherBytes(["caf\ufffd"], () => null);
  const { message } = assertThrows(
    () => refuseOtherBytes(["a", "caf\ufffd"], typed(0x63, 0x61, 0x66, 0xe9)),
    InputError,
  );
  assertEquals(message, "argument caf\ufffd: expected UTF-8 text, got other bytes");
});

Deno.test({
  name: "a process that is given such an argument ends with its name, with no more permissions than the tasks give",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    // Deno itself cannot pass such bytes on. What stands before it is longer than what one read of /proc gives.
    const script = `exec "$0" "$@" -- "$(head -c 20000 /dev/zero | tr '\\000' x)" "$(printf 'caf\\351')"`;
    const { code, stdout, stderr } = await mxoss(["inspect"], { by: ["sh", "-c", script] });
    assertEquals([code, stdout, stderr], [2, "", "error: argument caf\ufffd: expected UTF-8 text, got other bytes\n"]);
    // The same character in UTF-8 is an argument like any other.
    const meant = await mxoss(["inspect", "--model", "caf\ufffd"]);
    assertEquals(meant.stderr, "error: caf\ufffd: expected a checkpoint directory, got nothing of that name\n");
  },
});

Deno.test("an environment variable of other bytes than UTF-8 is refused by its name", () => {
  const { get } = Deno.env;
  Deno.env.get = () => {
    throw new Deno.errors.InvalidData("not valid unicode");
  };
  try {
    assertThrows(() => environmentVariable("HF_HOME"), InputError, "environment variable HF_HOME: expected UTF-8 text");
  } finally {
    Deno.env.get = get;
  }
});

Deno.test({
  name: `weights and links with names of other bytes are refused in one line${ONLY_SOAKED}`,
  // Deno itself cannot make such files.
  ignore: !SOAK || Deno.build.os !== "linux",
  fn: async () => {
    for (
      const [script, line] of [
        ["mv model.safetensors $(printf 'w\\377.safetensors')", /\.safetensors: expected a file whose name is UTF-8/],
        ["ln -sf ../../blobs/$(printf '\\377') tokenizer.json", /tokenizer\.json: expected names in UTF-8/],
      ] as const
    ) {
      using checkpoint = new BrokenCheckpoint();
      await new Deno.Command("sh", { args: ["-c", script], cwd: checkpoint.dir }).output();
      const { code, stdout, stderr } = await inProcess(["inspect", "--model", checkpoint.dir]);
      assertEquals([code, stdout], [2, ""], stderr);
      assertMatch(stderr, /^error: [^\n]+\n$/);
      assertMatch(stderr, line);
    }
  },
});
