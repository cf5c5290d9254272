import { widthOf } from "../../src/cli/width.ts";
import { ProgressBar, progressLine, rateLine } from "../../src/cli/progress.ts";
import { redraw } from "../../src/cli/terminal.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { withVariables } from "../variables.ts";

Deno.test("progressLine() shows the part that is done and the time that is left", () => {
  assertEquals(progressLine("loading", 0.25, 1000), "loading [#######                     ] 25% (3s left)");
  assertEquals(progressLine("loading", 0, 1000), "loading [                            ] 0%");
  assertEquals(progressLine("loading", 1, 1000), "loading [############################] 100% (0s left)");
});

Deno.test("progressLine() and rateLine() make the bar shorter where columns are few, and say the rest", () => {
  assertEquals(progressLine("loading", 0.5, 1000, 40), "loading [########        ] 50% (1s left)");
  assertEquals(progressLine("loading", 0.5, 1000, 26), "loading 50% (1s left)");
  const line = { label: "w_mxfp4", unit: "problems", done: 5, total: 10, rate: 1, aside: "" };
  assertEquals(rateLine(line, 50), "w_mxfp4 [#####    ] 5/10 problems, 1.00/s, 5s left");
  for (let columns = 40; columns < 100; columns++) assert(rateLine(line, columns).length <= columns, `${columns}`);
});

Deno.test("rateLine() says what is done, how fast, and what is left", () => {
  const line = { label: "w_mxfp4", unit: "problems", done: 120, total: 1000, rate: 11.14, aside: "119 right" };
  assertEquals(
    rateLine(line),
    "w_mxfp4 [###                     ] 120/1000 problems, 11.1/s, 1m 19s left, 119 right",
  );
  assertEquals(rateLine({ ...line, rate: 0, aside: "" }), "w_mxfp4 [###                     ] 120/1000 problems");
});

Deno.test("rateLine() counts the columns of wide characters", () => {
  const line = { label: "模型", unit: "problems", done: 5, total: 10, rate: 1, aside: "日本語" };
  for (let columns = 60; columns < 100; columns++) assert(widthOf(rateLine(line, columns)) <= columns, `${columns}`);
});

/** What bars write to a stderr that is a terminal of so many columns, or a pipe (null), by a clock that is set. */
function drawn(columns: number | null, draw: (setClock: (ms: number) => void) => void): string[] {
  using _variables = withVariables({ TERM: "xterm" });
  const { stderr, consoleSize } = Deno;
  const before = { isTerminal: stderr.isTerminal, writeSync: stderr.writeSync, now: performance.now };
  const written: string[] = [];
  let clock = 1000;
  stderr.isTerminal = () => columns !== null;
  stderr.writeSync = (bytes) => {
    written.push(new TextDecoder().decode(bytes));
    return bytes.length;
  };
  performance.now = () => clock;
  Deno.consoleSize = () => ({ columns: columns ?? 0, rows: 24 });
  try {
    draw((ms) => clock = 1000 + ms);
    return written;
  } finally {
    Object.assign(stderr, { isTerminal: before.isTerminal, writeSync: before.writeSync });
    performance.now = before.now;
    Deno.consoleSize = consoleSize;
  }
}

/** 10 updates, half a second apart, with a long aside. */
function work(bar: ProgressBar, setClock: (ms: number) => void): void {
  for (let done = 1; done <= 10; done++) {
    setClock(500 * done);
    bar.update(done, 10, "99.2% right so far");
  }
}

for (const columns of [20, 40, 80, 200]) {
  Deno.test(`ProgressBar draws over one line of a window of ${columns} columns and removes it`, () => {
    for (const unit of [null, "problems"]) {
      const written = drawn(columns, (setClock) => {
        using bar = new ProgressBar("w_mxfp4_a_mxfp4", unit);
        work(bar, setClock);
      });
      assertEquals(written.length, 11);
      assertEquals(written.at(-1), "\r\u001b[K");
      for (const text of written) {
        // deno-lint-ignore no-control-regex
        const [, line] = /^\r([^\r\n\x1b]*)\x1b\[K$/.exec(text)!;
        assert(widthOf(line!) < columns, text);
      }
    }
  });
}

Deno.test("redraw() takes no more columns of wide characters than the window has", () => {
  const [text] = drawn(20, () => redraw("模型".repeat(20)));
  assertEquals(text, `\r${"模型".repeat(4)}模\u001b[K`);
});

Deno.test("ProgressBar shows nothing of work that is done at once, and does not draw all the time", () => {
  const times = (...ms: number[]) =>
    drawn(80, (setClock) => {
      using bar = new ProgressBar("loading");
      for (const at of ms) {
        setClock(at);
        bar.update(at, 1000);
      }
    }).length;
  assertEquals(times(0, 100, 299), 0);
  // Two drawings and the removal.
  assertEquals(times(300, 350, 399, 400, 450), 3);
});

Deno.test("ProgressBar writes whole lines now and then to a pipe where parts are counted, else nothing", () => {
  const updates = (unit: string | null) =>
    drawn(null, (setClock) => {
      using bar = new ProgressBar("calibrating", unit);
      for (let second = 0; second <= 65; second++) {
        setClock(1000 * second);
        bar.update(second, 100);
      }
    });
  assertEquals(updates(null), []);
  const lines = updates("tokens");
  assertEquals(lines.length, 2);
  assertMatch(lines[0]!, /^calibrating \[#{7} {17}\] 30\/100 tokens, 1\.00\/s, 1m 10s left\n$/);
  assertMatch(lines[1]!, /^calibrating \[#{14} {10}\] 60\/100 tokens, 1\.00\/s, 40s left\n$/);
});
