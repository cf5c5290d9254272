/** Hashes of weights that a user's runs on a GPU keep for the next. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { hashWeights } from "../../src/cli/settings.ts";
import { keepUserHash, userHash } from "../../src/cli/user_hashes.ts";
import { assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { TINY } from "./program.ts";

Deno.test("hashWeights() takes an earlier run's hash of files that are as they were", async () => {
  using dir = new TemporaryDirectory();
  const file = `${dir.path}/mxoss-gpu/weights.json`;
  /** Of a checkout that may be of this second. */
  const changedAt = (changed: number) => openCheckpoint(TINY).identity.map((one) => ({ ...one, changed }));
  const hashed = async (changed: number) => {
    const checkpoint = { ...openCheckpoint(TINY), identity: changedAt(changed) };
    await hashWeights(checkpoint, null, file);
    return checkpoint.weightsSha256();
  };
  const own = openCheckpoint(TINY).weightsSha256(), other = "f".repeat(64);
  assertEquals(await hashed(1000), own);
  assertEquals([userHash(file, changedAt(1000)), userHash(file, changedAt(2000))], [own, undefined]);
  // Its times could stay as they are when it is changed once more.
  keepUserHash(file, changedAt(Date.now() + 60_000), own);
  assertEquals(Object.keys(JSON.parse(Deno.readTextFileSync(file)).kept).length, 1);

  Deno.writeTextFileSync(file, Deno.readTextFileSync(file).replaceAll(own, other));
  assertEquals([await hashed(1000), await hashed(2000)], [other, own]);
  Deno.chmodSync(file, 0o666);
  assertEquals(await hashed(1000), own);
});
