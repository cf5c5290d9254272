import { readDataset } from "../../src/eval/dataset.ts";
import { InputError } from "../../src/errors.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { assertRefusedQuickly } from "../quickly.ts";
import { assertEquals, assertMatch, assertThrows } from "../assert.ts";

function withFile(content: string | Uint8Array, use: (path: string) => void): void {
  const path = Deno.makeTempFileSync({ suffix: ".jsonl" });
  try {
    if (typeof content === "string") Deno.writeTextFileSync(path, content);
    else Deno.writeFileSync(path, content);
    use(path);
  } finally {
    Deno.removeSync(path);
  }
}

const GOOD = '{"question": "1 + 1?", "answer": "It is 2.\\n#### 2", "id": 7}';

Deno.test("readDataset() reads GSM8K's form and keeps further keys", () => {
  withFile(`${GOOD}\n\n{"question":"é?","answer":"#### 3"}`, (path) => {
    const { problems, sha256, name } = readDataset(path, "--data");
    assertEquals(problems.map((p) => [p.index, p.question, p.answer]), [
      [0, "1 + 1?", "It is 2.\n#### 2"],
      [1, "é?", "#### 3"],
    ]);
    assertEquals(JSON.stringify(problems[0]!.record["id"]), "7");
    assertMatch(sha256, /^[0-9a-f]{64}$/);
    assertEquals(path.endsWith(name), true);
  });
});

const BAD: [what: string, content: string | Uint8Array, says: RegExp][] = [
  ["a line that is not JSON", `${GOOD}\n{"question": }\n`, /:2: expected a JSON object: /],
  ["a number", `12.50\n`, /:1: expected a JSON object, got 12\.50/],
  ["an array", `[1]\n`, /:1: expected a JSON object, got an array/],
  ["a missing question", `{"answer": "#### 1"}`, /:1: question: expected a text, got nothing/],
  ["a numeric answer", `${GOOD}\n\n{"question": "q", "answer": 5}`, /:3: answer: expected a text, got 5/],
  [
    "half of a character",
    String.raw`{"question": "a\ud83d", "answer": "#### 1"}`,
    /:1: question: expected a text of whole/,
  ],
  ["an answer without ####", `{"question": "q", "answer": "5"}`, /:1: answer: expected "#### " and a number/],
  ["an empty file", "\n \n", /expected one problem a line, got an empty file/],
  ["bytes that are no UTF-8", new Uint8Array([0x7b, 0xff, 0x7d]), /expected UTF-8 text/],
];

for (const [what, content, says] of BAD) {
  Deno.test(`readDataset() refuses ${what} in one line`, () => {
    withFile(content, (path) => {
      const { message } = assertThrows(() => readDataset(path, "--data"), InputError);
      assertMatch(message, says);
      assertEquals(message.includes(path) && !message.includes("\n"), true);
    });
  });
}

Deno.test("readDataset() refuses a missing file and a directory, naming the option", () => {
  assertThrows(() => readDataset("/nowhere/x.jsonl", "--data"), InputError, "--data: /nowhere/x.jsonl: no such file");
  assertThrows(() => readDataset(Deno.cwd(), "--data"), InputError, "expected a file, got a directory");
});

Deno.test("readDataset() refuses questions that no model can read, and too many problems", async () => {
  using dir = new TemporaryDirectory();
  const line = (question: string) => `${JSON.stringify({ question, answer: "#### 1" })}\n`;
  const long = dir.write("long.jsonl", line("x".repeat(20_000_000)));
  await assertRefusedQuickly(() => readDataset(long, "--data"), /long\.jsonl:1: question: expected at most 1048576/);
  const many = dir.write("many.jsonl", line("x").repeat(100_001));
  await assertRefusedQuickly(() => readDataset(many, "--data"), /many\.jsonl: expected at most 100000 problems/);
  const large = dir.write("large.jsonl", new Uint8Array(50_000_000));
  await assertRefusedQuickly(() => readDataset(large, "--data"), /large\.jsonl: expected at most 33554432 bytes/);
});
