/** The secret that processes of a run prove themselves by: who says it, who makes it, and who may know it. */
import { runKey } from "../../src/cli/run_secret.ts";
import { InputError } from "../../src/errors.ts";
import type { World } from "../../src/parallel/world.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";

const world = (source: World["source"]): World => {
  return { rank: 0, size: 2, localRank: 0, localSize: 2, source, master: null };
};
const keyOf = (variables: Readonly<Record<string, string>>, source: World["source"] = "torchrun") =>
  runKey(world(source), (name) => variables[name]);

Deno.test("a run's secret is what the environment says, and its name what its starter calls it", () => {
  const secret = "sixteen and more", given = { MXOSS_RUN_SECRET: secret, SLURM_JOB_ID: "7", SLURM_STEP_ID: "0" };
  assertEquals(keyOf({ ...given, TORCHELASTIC_RUN_ID: "x" }), { secret, run: "torchrun x" });
  assertEquals(keyOf(given, "Slurm").run, "Slurm 7 0");
  assertEquals(keyOf({ ...given, PMIX_NAMESPACE: "prterun-1" }, "Open MPI").run, "Open MPI prterun-1");
  const short = assertThrows(() => keyOf({ MXOSS_RUN_SECRET: "fifteen letters" }), InputError);
  assertEquals(short.message, "MXOSS_RUN_SECRET: expected a secret of 16 characters or more, got one of 15");
  assertThrows(() => keyOf({}), InputError, "MXOSS_RUN_SECRET: expected a secret, as there is no home directory");
});

Deno.test({
  name: "without one a file of the user's is made, which all his processes find and nobody else may read",
  ignore: Deno.build.os === "windows",
  fn: () => {
    using dir = new TemporaryDirectory();
    const folder = `${dir.path}/cache/mxoss-gpu`, path = `${folder}/run-secret`;
    const found = { XDG_CACHE_HOME: `${dir.path}/cache` }, { secret } = keyOf(found);
    assertMatch(secret, /^[0-9a-f]{64}$/);
    assertEquals(keyOf(found).secret, secret);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["run-secret"]);
    assertEquals([path, folder].map((one) => Deno.statSync(one).mode! & 0o777), [0o600, 0o700]);
    for (const [one, mode] of [[path, 0o640], [folder, 0o770]] as const) {
      Deno.chmodSync(one, mode);
      const refused = assertThrows(() => keyOf(found), InputError);
      assert(refused.message.startsWith(`${path}: expected a file that only you can read`), refused.message);
      Deno.chmodSync(one, one === path ? 0o600 : 0o700);
    }
    Deno.writeTextFileSync(path, "short\n");
    assertThrows(() => keyOf(found), InputError, "16 characters or more");
    Deno.removeSync(path);
    Deno.symlinkSync("/etc/hostname", path);
    assertThrows(() => keyOf(found), InputError, "expected a file that only you can read");
  },
});
