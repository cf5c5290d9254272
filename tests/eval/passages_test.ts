/** The text of a comparison where both sides would have chosen differently, and its page. */
import { passagesOf } from "../../src/eval/passages.ts";
import { PredictionRecorder } from "../../src/eval/predictions.ts";
import { passagesPage } from "../../src/eval/report/passages_page.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals } from "../assert.ts";
import { readPage } from "./dom.ts";
import { TINY } from "./sides.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);
const ids = (text: string) => Int32Array.from(tokenizer.encode(text, { allowSpecial: true }));

/** Predictions of tokens where A and B choose others at some positions, and elsewhere what the text has. */
function passages(text: string | Int32Array, chosen: ReadonlyMap<number, readonly [a: string, b: string]>) {
  const tokens = typeof text === "string" ? ids(text) : text;
  const recorder = new PredictionRecorder({ index: 0, tokens, replyFrom: null }, true);
  const logits = (id: number) => Float32Array.from({ length: 1024 }, (_, i) => i === id ? 9 : 0);
  tokens.forEach((_, position) => {
    const [a, b] = (chosen.get(position) ?? []).map((token) => ids(token)[0]!);
    const next = tokens[position + 1] ?? 0;
    recorder.add(logits(a ?? next), logits(b ?? next));
  });
  return passagesOf(recorder.result(), tokens, tokenizer);
}

const CHAT = "<|start|>user<|message|>Sam has 4.<|end|><|start|>assistant<|channel|>final<|message|>#### 4<|return|>" +
  "<|start|>user<|message|>And <b>?<|end|><|start|>assistant<|channel|>final<|message|>5<|return|>";

Deno.test("passagesOf() cuts conversations at their prompts and marks tokens that A and B choose differently", () => {
  const tokens = [...ids(CHAT)], message = ids("<|message|>")[0]!;
  const [first, second, third, fourth] = tokens.flatMap((id, i) => id === message ? [i] : []);
  const { passages: found } = passages(
    CHAT,
    new Map([[first!, ["Sam", "3"]], [second!, ["7", "####"]], [fourth!, ["7", "8"]]]),
  );
  assertEquals(found.map(({ differs }) => differs.map(({ position, place, choice }) => [position, place, choice])), [
    [[first! + 1, "prompt", "A's choice"], [second! + 1, "reply", "B's choice"]],
    [[fourth! + 1, "reply", "neither"]],
  ]);
  assertEquals(found.map(({ pieces }) => pieces.join("")).join(""), CHAT);
  assertEquals(found.map(({ start, tokens }) => start + tokens), [
    tokens.lastIndexOf(ids("<|start|>")[0]!, third!),
    tokens.length,
  ]);
  assertEquals(found[1]!.pieces[1], "5");
});

Deno.test("passagesOf() knows a reply whose role is spelled letter by letter, and no other role", () => {
  const [start, message] = ids("<|start|><|message|>"),
    letters = (word: string) => [...word].flatMap((x) => [...ids(x)]);
  for (const [role, place] of [["assistant", "reply"], ["assistans", "prompt"]] as const) {
    const tokens = Int32Array.of(start!, ...letters(role), message!, ...letters("56"));
    const { passages: [only] } = passages(tokens, new Map([[tokens.length - 2, ["6", "7"]]]));
    assertEquals(only!.differs.map((one) => one.place), [place], role);
  }
});

Deno.test("passagesOf() has the prediction beyond the end, and passages of 128 tokens of a plain text", () => {
  const text = "1 ".repeat(150), last = ids(text).length - 1;
  const { passages: found } = passages(text, new Map([[3, ["7", "8"]], [last, ["7", "8"]]]));
  assertEquals(found.map(({ start, differs: [one] }) => [start, one!.place, one!.choice]), [
    [0, "text", "neither"],
    [Math.floor(last / 128) * 128, "text", "nothing: its end"],
  ]);
  assertEquals(found[1]!.pieces.slice(-2), ["", ""]);
  assertEquals(passages(text, new Map()).passages, []);
});

Deno.test("the page of a comparison's passages marks, escapes, searches and filters", () => {
  const message = [...ids(CHAT)].flatMap((id, i) => id === ids("<|message|>")[0] ? [i] : []);
  const chat = passages(CHAT, new Map([[message[0]!, ["Sam", "3"]], [message[3]!, ["7", "8"]]]));
  const html = passagesPage("a <text>", 40, [chat])!, page = readPage(html);
  assert(html.includes("a &lt;text&gt;") && !html.includes("<b>?"), "text must be escaped");
  assert(page.texts("p.soft")[0]!.startsWith("At 2 of 40 tokens"), page.texts("p.soft")[0]);
  assertEquals(page.texts("mark"), ["Sam", "5"]);
  page.run();
  const shown = () => page.all(".sample").filter((sample) => !sample.hidden).length;
  const set = (element: ReturnType<typeof page.all>[number], value: string) => {
    Object.defineProperty(element, "value", { value, configurable: true });
    page.fire(element, "input");
  };
  const [search] = page.all("input"), [place, choice] = page.all("select");
  set(place!, "reply");
  assertEquals(shown(), 1);
  set(choice!, "A's choice");
  assertEquals(shown(), 0);
  set(place!, "");
  assertEquals(shown(), 1);
  set(search!, "no such word");
  assertEquals(shown(), 0);
  assertEquals(passagesPage("text", 40, [passages(CHAT, new Map())]), null);
});
