/** What a terminal shows: tables that fold, lines that break between words, the whole of an evaluation. */
import { asset } from "../../src/assets.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { Overall } from "../../src/cli/eval/overall.ts";
import { rateLine } from "../../src/cli/progress.ts";
import { folded, linesOf } from "../../src/cli/table.ts";
import { eraseLine, note, redraw, writeLines } from "../../src/cli/terminal.ts";
import { widthOf } from "../../src/cli/width.ts";
import { assert, assertEquals } from "../assert.ts";
import { inProcess, replaced } from "./in_process.ts";

const TABLE = {
  heads: ["setting", "typical KL", "mean KL", "same top"],
  rows: [["w_mxfp4", "1.0e-10 [7e-11, 1.5e-10]", "2e-7 [0, 2.21e-5]", "100%"], ["fp8", "0", "0", "99%"]],
  right: [3],
  wraps: [],
};

Deno.test("a table that is too wide goes on below, after its first column", () => {
  const wide = linesOf(TABLE, Infinity);
  assertEquals(wide.length, 3);
  assertEquals(linesOf(TABLE, widthOf(wide[1]!)), wide);
  assertEquals(linesOf(TABLE, 40), [
    "setting  typical KL",
    "w_mxfp4  1.0e-10 [7e-11, 1.5e-10]",
    "fp8      0",
    "",
    "setting  mean KL            same top",
    "w_mxfp4  2e-7 [0, 2.21e-5]      100%",
    "fp8      0                       99%",
  ]);
});

Deno.test("an interval stands beside what it is of, however narrow the terminal is", () => {
  const heads = ["setting", "strict-match", "", "right", "tok/s", "interval", "runs"];
  const table = { heads, rows: [["w_mxfp4", "75%", "[19, 99.4]", "3", "11000", "[8000, 15000]", "64"]], right: [1] };
  for (let columns = 1; columns < 80; columns++) {
    const lines = linesOf(table, columns);
    assert(lines.some((line) => line.includes("75%  [19, 99.4]")), lines.join("\n"));
    assert(lines.some((line) => line.includes("11000  [8000, 15000]")), lines.join("\n"));
  }
  assertEquals(linesOf(table, 33), [
    "setting  strict-match",
    "w_mxfp4           75%  [19, 99.4]",
    "",
    "setting  right",
    "w_mxfp4  3",
    "",
    "setting  tok/s  interval",
    "w_mxfp4  11000  [8000, 15000]",
    "",
    "setting  runs",
    "w_mxfp4  64",
  ]);
});

Deno.test("a table whose rows are named by two columns repeats both", () => {
  const table = { heads: ["layers", "linear", "weight", "bytes"], right: [3], rows: [["0", "q_proj", "bf16", "1 kB"]] };
  assertEquals(linesOf(table, 22, 2), [
    "layers  linear  weight",
    "0       q_proj  bf16",
    "",
    "layers  linear  bytes",
    "0       q_proj   1 kB",
  ]);
});

for (const columns of [40, 60, 80]) {
  Deno.test(`what is known of models and of commands is no wider than a terminal of ${columns} columns`, async () => {
    const known = [["inspect", "--tp", "2"], ["list", asset("models").pathname], ["devices"], ["help"]];
    for (const args of [...known, ...[...COMMANDS.keys()].map((name) => ["help", name])]) {
      const { code, stdout } = await inProcess(args, { columns, env: { HF_HUB_CACHE: "/nowhere" } });
      assertEquals(code, 0);
      // Paths, and lines that are typed into a shell, are not broken.
      const wide = stdout.split("\n").filter((line) =>
        widthOf(line) > columns && !/^ *(?:usage: )?(?:mxoss )/.test(line)
      );
      assertEquals(wide.filter((line) => line.trim().split(/ {2,}| /).length > 1), [], args.join(" "));
    }
  });
}

Deno.test("what goes to stdout takes the place of a line that is drawn over on the same terminal", async () => {
  let shown = "";
  const show = (bytes: Uint8Array) => (shown += new TextDecoder().decode(bytes), bytes.length);
  {
    using _replaced = replaced(
      [Deno.stderr, { writeSync: show }],
      [Deno.stdout, { write: (bytes: Uint8Array) => Promise.resolve(show(bytes)), isTerminal: () => true }],
    );
    redraw("timing a few layers");
    await writeLines(["in all 3 s"]);
    // What follows is no longer that line.
    eraseLine();
  }
  assertEquals(shown.slice(shown.indexOf("\u001b[K")), "\u001b[K\r\u001b[Kin all 3 s\n");
});

Deno.test("long lines break between words and never within one", () => {
  const line = "typical KL: e to the mean logarithm, which no single token decides; an_unbroken_word_that_is_long";
  for (const columns of [20, 30, 40, 60, 80, 200]) {
    const lines = folded(["short", line], columns);
    assertEquals(lines[0], "short");
    assertEquals(lines.slice(1).map((one) => one.trim()).join(" "), line);
    assert(lines.every((one) => widthOf(one) <= columns || !one.trim().includes(" ")), lines.join("\n"));
  }
});

Deno.test("a line of progress drops what matters least, and never the time that is left", () => {
  const line = {
    label: "w_mxfp4_a_mxfp6_e2m3: predictions",
    ...{ unit: "tokens", done: 1200, total: 10000, rate: 112 },
    aside: "2 of 8 settings: 4m 2s left, 119 right, 17 tokens",
  };
  assertEquals(rateLine(line, 79), "w_mxfp4_a_mxfp6_e2m3: predictions [#    ] 1200/10000 tokens, 112/s, 1m 19s left");
  const short = { ...line, label: "fp8: predictions" };
  assertEquals(
    rateLine(short, 90),
    "fp8: predictions [    ] 1200/10000 tokens, 112/s, 1m 19s left, 2 of 8 settings: 4m 2s left",
  );
  for (let columns = 35; columns < 140; columns++) {
    const said = rateLine(line, columns);
    assert(widthOf(said) <= columns, said);
    assert(said.includes("1m 19s left"), said);
  }
});

Deno.test("Overall says which setting of how many, and how long it and the others will take", () => {
  let clock = 0;
  const overall = new Overall(3, () => clock);
  const first = overall.begin("w_mxfp4");
  assertEquals(first.aside(0, 10), "1 of 3 settings");
  clock = 10_000;
  assertEquals(first.aside(5, 10), "1 of 3 settings: 50s left");
  clock = 20_000;
  first.end();
  const second = overall.begin("fp8");
  assertEquals(second.aside(0, 10), "2 of 3 settings: 40s left");
  clock = 30_000;
  // Half of it took 10 s, so that the last one is taken for 20 s, too.
  assertEquals(second.aside(5, 10), "2 of 3 settings: 30s left");
  // The first setting is compared with nothing; rounds that come again are no settings.
  const predictions = [1, 2, 3].map((i) => overall.begin(`s${i}: predictions`).aside(0, 9));
  assertEquals(predictions, ["1 of 2 settings", "2 of 2 settings", ""]);
  assertEquals(new Overall(1).begin("alone").aside(0, 9), "");
});

Deno.test("a note after Ctrl-C stands on a line of its own", () => {
  const { writeSync } = Deno.stderr, written: string[] = [];
  Deno.stderr.writeSync = (bytes) => {
    written.push(new TextDecoder().decode(bytes));
    return bytes.length;
  };
  try {
    redraw("w_mxfp4 3/10 problems");
    note("interrupted");
    note("again");
  } finally {
    Deno.stderr.writeSync = writeSync;
  }
  assertEquals(written.slice(1), ["\r\u001b[K", "interrupted\n", "again\n"]);
});
