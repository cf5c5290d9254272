import { openCheckpoint } from "../../src/library/checkpoint.ts";
import { openTokenizer } from "../../src/library/text.ts";
import { BrokenCheckpoint } from "../cli/broken.ts";
import { assertMatch, assertStringIncludes } from "../assert.ts";

Deno.test("library: a question says the day that is asked for, or today's", async () => {
  using harmony = new BrokenCheckpoint();
  Deno.removeSync(harmony.path("chat_template.jinja"));
  const tokenizer = await openTokenizer(openCheckpoint(harmony.dir));
  const text = (options?: { date: string }) => tokenizer.decode(tokenizer.question("Hi", options), "keep");
  assertStringIncludes(text({ date: "2031-02-28" }), "Current date: 2031-02-28\n");
  assertMatch(text(), /Current date: 20[2-9]\d-\d\d-\d\d\n/);
});
