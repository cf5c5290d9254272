/** What lies beside results: it is kept results, or refused by name. */
import { InputError } from "../../src/errors.ts";
import { finishedRun } from "../../src/eval/finished_run.ts";
import { assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";

Deno.test("what is no file where results are kept is refused by name, and not taken for nothing", () => {
  using dir = new TemporaryDirectory();
  const { has, read } = finishedRun(dir.path, {}),
    refused = (what: () => unknown) => {
      const thrown = assertThrows(what, InputError);
      return thrown.line().replace(dir.path, "DIR");
    };
  assertEquals(has("worst"), false);
  Deno.mkdirSync(`${dir.path}/worst.jsonl`);
  assertEquals(has("worst"), true);
  assertEquals(
    refused(() => read("worst", {}, () => ({ index: 0 }))),
    "DIR/worst.jsonl: expected a file, got a directory",
  );
  Deno.symlinkSync(`${dir.path}/passages.jsonl`, `${dir.path}/passages.jsonl`);
  assertMatch(refused(() => has("passages")), /^DIR\/passages\.jsonl: cannot be read: /);
});
