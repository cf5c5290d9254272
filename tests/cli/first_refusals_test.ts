/** What can be known before anything is loaded or measured is said then, and what was measured is not lost later. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { ONLY_SOAKED, SOAK } from "../soak.ts";
import { inProcess } from "./in_process.ts";
import { program } from "./program.ts";

Deno.test("serve refuses a port that is taken, and a context and limits of no use, before it loads", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const { code, stdout, stderr } = await inProcess(["serve", "--port", `${port}`]);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^error: 127\.0\.0\.1:\d+: cannot be listened on: Address already in use[^\n]*\n$/);
  // The port is taken, so that no server waits here where its context is not refused.
  for (const command of [["serve", "--port", `${port}`], ["chat"]]) {
    const refused = await inProcess([...command, "--context", "15"]);
    assertEquals([refused.code, refused.stderr], [
      2,
      'error: --context: expected an integer of at least 16, got "15"\n',
    ]);
  }
  for (const option of ["--max-prompt", "--max-reply"]) {
    const refused = await inProcess(["serve", "--context", "64", option, "65"]);
    assertEquals(
      [refused.code, refused.stdout, refused.stderr],
      [2, "", `error: ${option}: expected at most 64, the positions of a sequence, got 65\n`],
    );
  }
});

Deno.test("commands that are printed for the next step name a directory as a shell reads it", async () => {
  using dir = new TemporaryDirectory();
  const text = dir.write("text.txt", "Wen has 14 peaches. Ben has 8 fewer than Wen."), out = `${dir.path}/it's; here`;
  const args = ["eval", "perplexity", "--text", text, "--limit", "12", "--sequence-length", "4"];
  const words = (text: string, command: RegExp) => {
    const [, line] = command.exec(text.replaceAll("\n", " ")) ?? [];
    assert(line !== undefined, text);
    const { stdout } = new Deno.Command("sh", { args: ["-c", `printf '%s\\n' ${line}`] }).outputSync();
    return new TextDecoder().decode(stdout).trimEnd().split("\n");
  };
  const part = await inProcess([...args, "--out", out, "--shard", "1/2"]);
  assertEquals(words(part.stdout, /when all are, mxoss (.*) gives the results/), ["report", out]);
  const whole = await inProcess([...args, "--out", out]);
  assertEquals(words(whole.stderr, /; mxoss (.*) prints these tables again/), ["report", out]);
});

Deno.test({
  name: `bench prints what it measured where its page cannot be written${ONLY_SOAKED}`,
  ignore: !SOAK,
  fn: async () => {
    using dir = new TemporaryDirectory();
    const out = `${dir.path}/out`;
    Deno.mkdirSync(out);
    const args = ["bench", "--shape", "tiny", "--prefill", "8", "--contexts", "none", "--batches", "none"];
    const watcher = Deno.watchFs(out);
    const child = program([...args, "--out", `${out}/page.html`], { writable: dir.path }).spawn();
    // It has looked whether it can write there: a file beside the page was made, and removed.
    for await (const { kind } of watcher) if (kind === "remove") break;
    Deno.removeSync(out);
    await child.stdin.close();
    const { code, stdout, stderr } = await child.output();
    assertEquals(code, 2);
    const [printed, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assertStringIncludes(printed!, "\nprefill 8 ");
    assertMatch(error!, /^error: --out: [^\n]*page\.html: cannot be written: no directory [^\n]*\/out\n$/);
  },
});
