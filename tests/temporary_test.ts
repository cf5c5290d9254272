/** A run of the tests leaves nothing in the system's folder for temporary files. */
import { assertEquals } from "./assert.ts";
import { TemporaryDirectory } from "./checkpoint/container.ts";

/** A file for each way in which tests make temporary files: built libraries and their copies, directories, files. */
const FILES = ["tests/ffi/library_test.ts", "tests/eval/journal_test.ts", "tests/cli/version_test.ts"];
const AGAIN = "MXOSS_INNER_RUN";

Deno.test({
  name: "tests leave nothing in the folder for temporary files",
  // Not within itself.
  ignore: Deno.env.get(AGAIN) !== undefined,
  fn: async () => {
    using dir = new TemporaryDirectory();
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--quiet", "--no-check", "--allow-all", ...FILES],
      cwd: new URL("../", import.meta.url).pathname,
      env: { NO_COLOR: "1", TMPDIR: dir.path, [AGAIN]: "1" },
      stderr: "null",
    }).output();
    assertEquals(success, true, new TextDecoder().decode(stdout));
    assertEquals([...Deno.readDirSync(dir.path)].map(({ name }) => name), []);
  },
});
