import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { refuseChanged } from "../../src/checkpoint/identity.ts";
import { InputError } from "../../src/errors.ts";
import { BrokenCheckpoint } from "../cli/broken.ts";
import { assertMatch, assertThrows } from "../assert.ts";

/** Writes one byte in place, at the same time of day as far as the file system tells. */
function overwrite(path: string): void {
  using file = Deno.openSync(path, { write: true });
  file.seekSync(-1, Deno.SeekMode.End);
  file.writeSync(Uint8Array.of(7));
}

const CHANGES: Record<string, [change: (path: string) => void, said: RegExp]> = {
  "overwritten in place": [overwrite, /\(its contents were written\)/],
  "cut short": [(path) => Deno.truncateSync(path, 100), /\(its size\)/],
  "replaced by another of the same bytes": [(path) => {
    Deno.copyFileSync(path, `${path}.new`);
    Deno.renameSync(`${path}.new`, path);
  }, /\(it is another file\)/],
  "removed": [(path) => Deno.removeSync(path), /: no such file$/],
};

for (const name of ["model.safetensors", "config.json", "tokenizer.json"]) {
  for (const [how, [change, said]] of Object.entries(CHANGES)) {
    Deno.test(`refuseChanged() sees a ${name} that was ${how}`, () => {
      using checkpoint = new BrokenCheckpoint();
      // Written long ago, so that no clock's coarseness hides a change.
      Deno.utimeSync(checkpoint.path(name), 1_000_000_000, 1_000_000_000);
      const { identity } = openCheckpoint(checkpoint.dir);
      refuseChanged(identity);
      change(checkpoint.path(name));
      const { message } = assertThrows(() => refuseChanged(identity), InputError);
      assertMatch(message, new RegExp(`${name}: `));
      assertMatch(message, said);
    });
  }
}
