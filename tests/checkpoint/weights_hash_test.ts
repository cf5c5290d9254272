import { InputError } from "../../src/errors.ts";
import { hashBeside, weightsSha256 } from "../../src/checkpoint/weights_hash.ts";
import { assertEquals, assertRejects, assertThrows } from "../assert.ts";

Deno.test("weightsSha256() is the hash of the files one after the other, on a thread as well", async () => {
  const dir = await Deno.makeTempDir();
  try {
    // More than one read, and not a whole number of them.
    const whole = crypto.getRandomValues(new Uint8Array(65_536)).toHex().repeat(80);
    const bytes = new TextEncoder().encode(whole);
    const files = [0, 5_000_001, bytes.length].slice(1).map((end, i) => {
      const part = bytes.subarray([0, 5_000_001][i]!, end), path = `${dir}/${i}`;
      Deno.writeFileSync(path, part);
      return { path, bytes: part.length };
    });
    const seen: number[] = [];
    const hash = weightsSha256(files, (done) => seen.push(done));
    assertEquals(hash, new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex());
    assertEquals(seen.at(-1), bytes.length);
    assertEquals([await hashBeside(files), await hashBeside(files, undefined, 0)], [hash, hash]);
    const missing = [{ path: `${dir}/2`, bytes: 1 }];
    await assertRejects(() => hashBeside(missing, undefined, 0), InputError, `${dir}/2: no such file`);
    assertThrows(() => weightsSha256(missing), InputError, `${dir}/2: no such file`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
