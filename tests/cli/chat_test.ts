/** `mxoss chat`: what its cache keeps gives the tokens that computing everything anew gives, and what commands do. */
import { PassThrough } from "node:stream";
import { createInterface } from "node:readline";
import { completeLine } from "../../src/cli/chat/commands.ts";
import { CANCELLED, type Lines, PipedLines, readInput, TerminalLines } from "../../src/cli/chat/input.ts";
import { InputError } from "../../src/errors.ts";
import { ChatRenderer } from "../../src/text/chat.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { everyNth, ONLY_SOAKED, SOAK } from "../soak.ts";
import { inProcess } from "./in_process.ts";
import { TINY } from "./program.ts";

const FIRST = "Wen has 14 peaches. Ben has 8 fewer than Wen. How many peaches do they have together?";
const SECOND = "Sam has 3 apples and gets 4 more. How many apples does Sam have?";

/** A conversation in a file, as /save wrote it. */
interface Saved {
  readonly turns: {
    assistant: string;
    generated_tokens: number;
    prompt_tokens: number;
    protocol: { scheme: string; snapshot?: string };
  }[];
  version: number;
}

/** Runs a conversation and gives what it saved. */
async function converse(lines: readonly string[], options: readonly string[] = []) {
  using dir = new TemporaryDirectory();
  const stdin = [...lines, "/save saved.json", ""].join("\n").replaceAll("saved.json", `${dir.path}/saved.json`);
  const run = await inProcess(["chat", "--out", dir.path, ...options], { stdin });
  assertEquals(run.code, 0, run.stderr);
  return { ...run, saved: JSON.parse(Deno.readTextFileSync(`${dir.path}/saved.json`)) as Saved };
}

/** What `mxoss generate --raw` continues the conversation's prompt with, all of it computed at once. */
async function anew(said: readonly string[], options: readonly string[] = []) {
  const tokenizer = await Tokenizer.fromDirectory(TINY), renderer = await ChatRenderer.fromDirectory(TINY, tokenizer);
  const messages = said.map((content, i) => ({ role: i % 2 === 0 ? "user" as const : "assistant" as const, content }));
  const { text } = renderer.render({ messages });
  const { stdout, code } = await inProcess(["generate", "--raw", "--json", ...options, text]);
  assertEquals(code, 0);
  const { text: whole, token_ids } = JSON.parse(stdout) as { text: string; token_ids: number[] };
  return { answer: whole.split("<|message|>").at(-1)!, tokens: token_ids.length };
}

Deno.test("chat computes only what its cache does not have, and gives the tokens of computing all", async () => {
  const { stdout, stderr, saved: { turns } } = await converse([FIRST, SECOND, "/stats"], ["--stats", "--stop", "@"]);
  const [first, second] = turns.map(({ assistant }) => assistant) as [string, string];
  assertEquals(stdout, `${first}\n${second}\n`);
  assertMatch(first, /^#### \d+$/);
  const expected = [await anew([FIRST]), await anew([FIRST, first, SECOND])];
  assertEquals(turns.map((t) => ({ answer: t.assistant, tokens: t.generated_tokens })), expected);
  // All of the first prompt, and the token that begins the channel's name: the reasoning after it is dropped.
  const kept = [0, turns[0]!.prompt_tokens + 1], counts = stderr.matchAll(/prompt (\d+) tokens, (\d+) from the cache/g);
  assertEquals([...counts].slice(0, 2).map(([, , from]) => Number(from)), kept);
  assertStringIncludes(stderr, `all: 2 answers of ${expected[0]!.tokens + expected[1]!.tokens} tokens`);
});

Deno.test({
  name: `chat gives the tokens of computing all in long conversations, on ranks, with a cache in FP8${ONLY_SOAKED}`,
  ignore: !SOAK,
  fn: async () => {
    // A sliding layer's window, a batch and an answer: its ring comes round.
    const small = ["--chunk", "16", "--max-tokens", "70"], questions = [FIRST, SECOND, FIRST, SECOND, FIRST];
    for (const options of [small, [...small, "--tp", "2"], [...small, "--kv-cache-dtype", "fp8"]]) {
      const { stderr, saved: { turns } } = await converse(questions, [...options, "--stats"]);
      assertEquals(turns.length, questions.length, stderr);
      const said = turns.flatMap(({ assistant }, i) => [questions[i]!, assistant]);
      for (const [i, { assistant, generated_tokens }] of turns.entries()) {
        const expected = await anew(said.slice(0, 2 * i + 1), options);
        assertEquals({ answer: assistant, tokens: generated_tokens }, expected, `${options}, turn ${i}`);
      }
      const kept = [...stderr.matchAll(/tokens, (\d+) from the cache/g)].map(([, count]) => Number(count));
      assert(kept.at(-1)! > 128 + 16, `${kept}`);
    }
  },
});

Deno.test("chat goes on under another scheme, with sampling of its own, as if it had always been that", async () => {
  const scheme = "w_mxfp4_a_mxfp4", drawn = ["--temperature", "1.5", "--seed", "7", "--top-k", "20"];
  const computed = ["--dtype", "f32", "--kv-cache-dtype", "fp8", "--tp", "2"];
  const { stderr, saved: { turns } } = await converse([FIRST, `/scheme ${scheme}`, "/retry"], [...drawn, ...computed]);
  assertMatch(stderr, new RegExp(`as ${scheme} on emulate`));
  // The second answer has the seed after the first one's.
  const again = ["--scheme", scheme, ...drawn.with(3, "8"), ...computed];
  const expected = await anew([FIRST], again);
  assertEquals(turns.length, 1);
  const sampled = { seed: 8, temperature: 1.5, top_k: 20, top_p: 1 }, formats = { dtype: "f32", kv_cache_dtype: "fp8" };
  assertEquals(turns[0]!.protocol, { ...turns[0]!.protocol, scheme, ...sampled, ...formats, tp: 2, ep: 1 });
  assertEquals([turns[0]!.assistant, turns[0]!.generated_tokens], [expected.answer, expected.tokens]);
});

Deno.test("chat saves, loads and takes back, and says what is wrong in a file that it did not write", async () => {
  using dir = new TemporaryDirectory();
  const { saved } = await converse(["/system Be brief.", "/reasoning low", FIRST]);
  // As it would be of a model from a Hugging Face cache.
  saved.turns[0]!.protocol.snapshot = `org/tiny@${"1".repeat(40)}`;
  const path = dir.write("a.json", { ...saved });
  const load = async (lines: string[]) => await converse(lines, ["--load", path]);
  const { saved: same, stderr } = await load(["/history"]);
  assertEquals(same, saved);
  assertStringIncludes(stderr, `> ${FIRST}\n${saved.turns[0]!.assistant}\n`);
  const undone = await load([SECOND, "/undo", "/undo", `/load ${path}`, "/undo", SECOND]);
  assertEquals(undone.saved.turns.length, 1);
  assertStringIncludes(undone.stderr, `taken back: ${FIRST}`);
  const reset = await load(["/reset", SECOND]);
  assertEquals(reset.saved.turns, undone.saved.turns);

  const refusal = async (file: unknown) => {
    const bad = dir.write("bad.json", typeof file === "string" ? file : file as Record<string, unknown>);
    const { code, stderr } = await inProcess(["chat", "--load", bad]);
    assertEquals(code, 2);
    return stderr.replaceAll(dir.path, "");
  };
  assertEquals(await refusal("{"), "error: --load: /bad.json: expected a conversation that /save wrote, got no JSON\n");
  assertMatch(await refusal({ ...saved, version: 2 }), /^error: --load: \/bad.json: version: expected 1, .*, got 2\n$/);
  const precious = dir.write("precious", "precious");
  const over = await inProcess(["chat", "--out", dir.path], { stdin: `/save ${path}\n/save ${precious}\n` });
  assertMatch(
    over.stderr,
    /a.json: 0 turns\nerror: .*precious: expected no file there, or a conversation .*another file\n$/,
  );
  assertEquals(Deno.readTextFileSync(precious), "precious");
  const turns = [{ ...saved.turns[0], assistant: 7 }];
  assertEquals(
    await refusal({ ...saved, turns }),
    "error: --load: /bad.json: turns.0.assistant: expected a text, got 7\n",
  );
  assertMatch(
    await refusal({ ...saved, more: 1 }),
    /^error: --load: \/bad.json: expected no key "more", got an object\n$/,
  );
});

Deno.test("chat says that its context is full before anything is lost, and what to do", async () => {
  const { stderr, saved } = await converse([FIRST, "/context 256", SECOND], ["--context", "90"]);
  assertMatch(
    stderr,
    /^note: 8\d of 90 positions are in use; before they are full, \/undo or \/reset, or \/context 256\n/m,
  );
  assertEquals(saved.turns.length, 2);
  const full = await inProcess(["chat", "--context", "90"], { stdin: `${FIRST}\n${SECOND} ${SECOND}\n${FIRST}\n` });
  assertEquals(full.code, 2);
  assertMatch(full.stderr, /^error: the conversation: has 9\d tokens with this question, and room for 90: \/undo /m);
  const cut = await inProcess(["chat", "--context", "40"], { stdin: `${FIRST}\n/stats\n` });
  assertMatch(cut.stderr, /context is full \(.*\), before a word of the answer: the question is taken back/);
  const refused = await inProcess(["chat", "--context", "999999999"]);
  assertMatch(refused.stderr, /^error: --context: expected at most 131072, the model's context, got 999999999\n$/);
});

/** Lines that are refused, and how. */
const REFUSED: readonly (readonly [line: string, said: RegExp])[] = [
  ["/sytem x", /^error: \/sytem: unknown command; did you mean \/system\?/],
  ["/scheme w_mxfp4_a_mxfp5", /^error: \/scheme: expected .* w_mxfp4_a_mxfp4, got "w_mxfp4_a_mxfp5"/],
  ["/context 131073", /^error: \/context: expected at most 131072, the model's context, got 131073/],
  ["/reasoning much", /^error: \/reasoning: expected low, medium or high, got "much"/],
  ["/reasoning huge", /^error: \/reasoning: expected low, medium or high, got "huge"/],
  ["/exit now", /^error: \/exit: expected nothing after it, got "now"/],
  ["/quit now", /^error: \/quit: expected nothing after it, got "now"/],
  ["/context many", /^error: \/context: expected an integer of at least 16, got "many"/],
  ["/save /elsewhere/x", /^error: \/elsewhere\/x: expected a file in .*, or another --out, got/],
  ["/load /nowhere", /^error: \/nowhere: no such file/],
  ["/undo", /^error: \/undo: nothing was said yet/],
];

Deno.test("chat refuses an --out that no directory can be, before the first question", async () => {
  const { code, stderr } = await inProcess(["chat", "--out", "x".repeat(300)], { stdin: "Hi\n" });
  assertMatch(stderr, /^error: --out: x+…x+: expected a directory, got nothing of that name\n$/);
  assertEquals(code, 2);
});

Deno.test("chat refuses what it does not know, with what is most like it", async () => {
  for (const [line, expected] of everyNth(2, REFUSED)) {
    const { code, stderr } = await inProcess(["chat"], { stdin: `${line}\n/exit\n` });
    assertEquals(code, 2, line);
    assertMatch(stderr, expected);
  }
  const { code, stderr } = await inProcess(["chat"], { stdin: "\n/help\n/exit\nnever asked\n" });
  assertEquals(code, 0);
  for (const name of completeLine("/")[0]) assert(stderr.includes(`\n${name} `) || stderr.startsWith(name), name);
});

/** Lines that are there already. */
function linesOf(...lines: readonly (string | typeof CANCELLED)[]): Lines {
  const left = [...lines];
  return { next: () => Promise.resolve(left.shift() ?? null), close: () => Promise.resolve() };
}

Deno.test("TerminalLines: a second Ctrl-C is one at an empty prompt, however soon it comes", async () => {
  const input = new PassThrough(), output = new PassThrough().resume();
  const lines = new TerminalLines(createInterface, { input, output }, (line) => [[], line]);
  const typed = (keys: string) => {
    input.write(keys);
    return lines.next("> ");
  };
  assertEquals([await typed("abc\x03\x03"), await typed("abc\x03def\n"), await typed("\x03")], [
    CANCELLED,
    "def",
    CANCELLED,
  ]);
  // As a signal, before the prompt and while it is there.
  lines.cancel();
  assertEquals(await lines.next("> "), CANCELLED);
  const next = lines.next("> ");
  lines.cancel();
  assertEquals(await next, CANCELLED);
  assertEquals(await typed("still here\n"), "still here");
});

Deno.test("readInput() joins lines after a backslash and between quotes", async () => {
  const read = (...lines: readonly (string | typeof CANCELLED)[]) => readInput(linesOf(...lines), "> ");
  assertEquals(await read("one", "two"), "one");
  assertEquals(await read("one\\", "two\\", "three", "four"), "one\ntwo\nthree");
  assertEquals(await read("C:\\\\", "two"), "C:\\");
  assertEquals(await read('"""', "one", "", "two\\", '"""', "three"), "one\n\ntwo\\");
  assertEquals(await read('  """one', 'two"""  '), "one\ntwo");
  assertEquals(await read('"""one"""'), "one");
  assertEquals(await read('say """one"""', "two"), 'say """one"""');
  assertEquals([await read(), await read(CANCELLED), await read("one\\", CANCELLED)], [null, CANCELLED, ""]);
  await assertRejects(() => read('"""one'), InputError, 'expected """ after the question');
  await assertRejects(() => read("one\\"), InputError, "expected another line");
});

Deno.test("PipedLines splits bytes into lines wherever they are cut, and refuses what is no text", async () => {
  const bytes = new TextEncoder().encode("é one\r\ntwo\n\nlast");
  for (const size of [1, 3, 100]) {
    const parts = Array.from(
      { length: Math.ceil(bytes.length / size) },
      (_, i) => bytes.slice(i * size, (i + 1) * size),
    );
    const lines = new PipedLines(ReadableStream.from(parts), false), read: (string | null)[] = [];
    while (read.at(-1) !== null) read.push(await lines.next(""));
    assertEquals(read, ["é one", "two", "", "last", null]);
  }
  for (const bad of [[0xff, 0x0a], [0xc3]]) {
    const lines = new PipedLines(ReadableStream.from([Uint8Array.from(bad)]), false);
    await assertRejects(() => lines.next(""), InputError, "stdin: expected UTF-8 text");
  }
});

Deno.test("completeLine() completes commands and their words", () => {
  assertEquals(completeLine("/re"), [["/reasoning", "/retry", "/reset"], "/re"]);
  assertEquals(completeLine("/reasoning m"), [["medium"], "m"]);
  assertEquals(completeLine("/scheme w_mxfp6_e2m3_"), [
    ["w_mxfp6_e2m3_a_mxfp6_e2m3", "w_mxfp6_e2m3_a_fp8"],
    "w_mxfp6_e2m3_",
  ]);
  assertEquals(completeLine("a question")[0], []);
});
