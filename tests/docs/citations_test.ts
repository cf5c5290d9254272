/** Documents that name the test behind each claim: the tests must exist. */
import { assert } from "../assert.ts";

const ROOT = new URL("../../", import.meta.url);

/**
 * A path in backquotes, and the quoted parts of test names that follow it before the next path or the end of the cell.
 */
const CITATION = /`(tests\/[\w./-]+)`([^`|\n]*)/g;

for (const name of ["docs/schemes.md", "docs/traps.md", "SECURITY.md"]) {
  Deno.test(`${name} names tests that exist`, () => {
    const text = Deno.readTextFileSync(new URL(name, ROOT)).replaceAll(/\n {2}/g, " ");
    const citations = [...text.matchAll(CITATION)];
    assert(citations.length >= 20, `${citations.length} citations`);
    for (const [, path, behind] of citations) {
      const source = Deno.readTextFileSync(new URL(path!, ROOT));
      for (const [, words] of behind!.matchAll(/"([^"]+)"/g)) {
        assert(source.includes(words!), `${path} has no test "${words}"`);
      }
    }
  });
}
