/** `--date`: with it prompts are the same on any day, in each command that tells a chat template what day it is. */
import { decode } from "../../src/text/stream_decoder.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { startServer } from "../serve/server_process.ts";
import { BrokenCheckpoint } from "./broken.ts";
import { inProcess } from "./in_process.ts";
import { TINY } from "./program.ts";

const DAY = "2031-02-28";
const CLOCK = "{{ strftime_now('%A %Y-%m-%d %H:%M:%S') }} {{ messages[-1].content }}<|start|>assistant";
/** By Python 3.11: datetime(2031, 2, 28, 12).strftime("%A %Y-%m-%d %H:%M:%S"). */
const NOON = "Friday 2031-02-28 12:00:00";

/** The embedded model with another chat template; without one: in harmony. */
function withTemplate(template: string | null): BrokenCheckpoint {
  const checkpoint = new BrokenCheckpoint(), path = checkpoint.path("chat_template.jinja");
  if (template === null) Deno.removeSync(path);
  else Deno.writeTextFileSync(path, template);
  return checkpoint;
}

const tokenizer = await Tokenizer.fromDirectory(TINY);
const idsOf = (text: string) => [...tokenizer.encode(text, { allowSpecial: true })];
const today = () => new Date().toLocaleDateString("sv");

/** What `generate` asked the model, its protocol's day, and stderr. */
async function generated(args: readonly string[]) {
  const { code, stdout, stderr } = await inProcess(["generate", "--json", "--max-tokens", "1", ...args, "Hi"]);
  assertEquals(code, 0, stderr);
  const { prompt_token_ids, protocol } = JSON.parse(stdout);
  return { ids: prompt_token_ids as number[], date: protocol.date as string | null, stderr };
}

Deno.test("generate tells templates and harmony the day of --date, at noon, and records it", async () => {
  using clock = withTemplate(CLOCK), harmony = withTemplate(null);
  const fixed = await generated(["--model", clock.dir, "--date", DAY]);
  assertEquals([fixed.ids, fixed.date, fixed.stderr], [idsOf(`${NOON} Hi<|start|>assistant`), DAY, ""]);
  const built = await generated(["--model", harmony.dir, "--date", DAY]);
  assertStringIncludes(decode(tokenizer, built.ids, "keep"), `Current date: ${DAY}\n`);
  assertEquals(built.date, DAY);
  const before = today(), { date } = await generated(["--model", harmony.dir]);
  assertEquals([before, today()].includes(date!), true, date!);
});

Deno.test("a template that writes no day is said where --date is given, and no day is recorded of it", async () => {
  for (const given of [[], ["--date", DAY]]) {
    const { date, stderr } = await generated(given);
    assertEquals(date, null);
    assertMatch(stderr, given.length === 0 ? /^$/ : /^warning: --date: \S*chat_template\.jinja writes no day\n$/);
  }
});

for (const command of ["generate", "chat", "serve"]) {
  Deno.test(`${command} refuses what is no day in a line`, async () => {
    for (const day of ["2026-02-30", "2026-2-3", "today", "2026-01-31T10:00"]) {
      const { code, stdout, stderr } = await inProcess([command, "--date", day]);
      const line = `error: --date: expected a day of the calendar, as in 2026-01-31, got "${day}"\n`;
      assertEquals([code, stdout, stderr], [2, "", line]);
    }
  });
}

Deno.test("chat keeps --date past /reset and over a loaded conversation, which else has its own day", async () => {
  using dir = new TemporaryDirectory(), harmony = withTemplate(null);
  const saved = async (lines: readonly string[], options: readonly string[]) => {
    const stdin = `${[...lines, `/save ${dir.path}/saved.json`].join("\n")}\n`;
    const run = await inProcess(["chat", "--model", harmony.dir, "--out", dir.path, ...options], { stdin });
    assertEquals(run.code, 0, run.stderr);
    return JSON.parse(Deno.readTextFileSync(`${dir.path}/saved.json`)).date;
  };
  assertEquals(await saved([], ["--date", DAY]), DAY);
  const load = ["--load", `${dir.path}/saved.json`];
  assertEquals(await saved([], load), DAY);
  assertEquals(await saved([], [...load, "--date", "2032-02-29"]), "2032-02-29");
  assertEquals(await saved(["/reset"], [...load, "--date", "2033-03-01"]), "2033-03-01");
  const before = today(), date = await saved(["/reset"], load);
  assertEquals([before, today()].includes(date), true, date);
});

Deno.test("serve tells the day of --date in chats, responses and the microscope, and says so", async () => {
  using clock = withTemplate(CLOCK);
  const schemes = ["--scheme", "stored", "--scheme", "w_mxfp4_a_mxfp4"], named = ["--model", clock.dir, "--name", "m"];
  await using server = await startServer([...named, ...schemes, "--context", "128", "--date", DAY]);
  assertEquals(server.lines.filter((line) => line.endsWith(`; prompts of ${DAY}`)).length, 1);
  const post = async (path: string, body: object) => {
    const response = await fetch(server.url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    assertEquals(response.status, 200, text);
    return text;
  };
  const messages = [{ role: "user", content: "Hi" }], expected = idsOf(`${NOON} Hi<|start|>assistant`);
  assertEquals(JSON.parse(await post("/tokenize", { messages })).tokens, expected);
  const chat = await post("/v1/chat/completions", { messages, max_tokens: 1, return_token_ids: true });
  assertEquals(JSON.parse(chat).prompt_token_ids, expected);
  const response = await post("/v1/responses", { input: "Hi", max_output_tokens: 1 });
  assertEquals(JSON.parse(response).usage.input_tokens, expected.length);
  const events = await post("/v1/microscope", { models: ["m", "m@w_mxfp4_a_mxfp4"], prompt: "Hi", max_tokens: 1 });
  assertStringIncludes(events, NOON);
});
