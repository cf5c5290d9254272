/**
 * `mxoss chat` at a real terminal: keys, history, Ctrl-C that stops an answer and not the program, Ctrl-D. Needs
 * `script` of util-linux, which gives a program a terminal.
 */
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { endless } from "./endless.ts";
import { program } from "./program.ts";
import { CTRL_C, IGNORE, Terminal, WHY } from "./pseudo_terminal.ts";
import { SOAK } from "../soak.ts";

const UP = "\x1b[A", LEFT = "\x1b[D", CTRL_D = "\x04", ENTER = "\r";
const QUESTION = "Tom has 3 apples. Tom buys 4 more. How many apples does Tom have now?";

Deno.test({
  name: `chat at a terminal edits lines, remembers them and completes commands${WHY}`,
  ...IGNORE,
  fn: async () => {
    const terminal = new Terminal(["chat", "--analysis", "never"]);
    await terminal.sees("/help lists commands");
    await terminal.type(QUESTION.slice(0, -3), "w?", LEFT, LEFT, "o", ENTER);
    await terminal.sees("#### 7");
    await terminal.type(UP, ENTER);
    await terminal.sees("####");
    await terminal.type("/his\t", ENTER);
    await terminal.sees(`> ${QUESTION}`);
    await terminal.sees(`> ${QUESTION}`);
    // Pasted: all of it at once.
    await terminal.type(`${QUESTION}\r/stats\r/res`);
    await terminal.sees("all: 3 answers");
    await terminal.type("et\r/history\r");
    await terminal.sees("nothing was said yet");
    // Each line by itself: what is pressed before its prompt is there belongs to the line before.
    await terminal.type('"""', ENTER);
    await terminal.sees("... ");
    await terminal.type("one", ENTER);
    await terminal.sees("... ");
    // Drops the line, the question, the conversation.
    for (let presses = 0; presses < 3; presses++) {
      await terminal.type(presses === 0 ? "two" : "", CTRL_C);
      if (presses < 2) await terminal.sees(["... ", "> "][presses]!);
    }
    assertEquals(await terminal.end(), 0);
  },
});

Deno.test({
  name: `chat at a terminal: Ctrl-C stops each answer and not the program, Ctrl-D ends it${WHY}`,
  ...IGNORE,
  fn: async () => {
    using checkpoint = endless();
    const terminal = new Terminal(["chat", "--model", checkpoint.dir, "--analysis", "never", "--max-tokens", "100000"]);
    // More than one, as the system forgets what to do at a signal once it has come.
    for (let round = 0; round < 3; round++) {
      await terminal.sees("> ");
      await terminal.type(QUESTION, ENTER);
      await terminal.sees("####");
      await terminal.type(CTRL_C);
      await terminal.sees("note: stopped");
      await terminal.type("/reset", ENTER);
      await terminal.sees("> ");
    }
    await terminal.type("/stats", ENTER);
    await terminal.sees("all: 3 answers");
    await terminal.type(CTRL_D);
    assertEquals(await terminal.end(), 0);
  },
});

Deno.test({
  name: `chat at a dumb terminal sends no control sequences${WHY}`,
  ...IGNORE,
  fn: async () => {
    const terminal = new Terminal(["chat", "--analysis", "never"], { TERM: "dumb" });
    await terminal.sees("> ");
    await terminal.type(`${QUESTION}\n`);
    await terminal.sees("#### 7");
    await terminal.type("/exit\n");
    assertEquals(await terminal.end(), 0);
    assert(!terminal.shown.includes("\x1b"), JSON.stringify(terminal.shown));
  },
});

Deno.test({
  name: `chat of a script ends with 130 at Ctrl-C, and asks nothing more${WHY}`,
  ignore: !SOAK,
  fn: async () => {
    using checkpoint = endless();
    const child = program(["chat", "--model", checkpoint.dir, "--max-tokens", "100000"]).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(`${QUESTION}\n/stats\n`));
    await writer.close();
    const reader = child.stdout.getReader();
    await reader.read();
    child.kill("SIGINT");
    while (!(await reader.read()).done);
    const { code } = await child.status, stderr = await new Response(child.stderr).text();
    assertEquals(code, 130);
    assertMatch(stderr, /^note: stopped; .*\n$/);
  },
});
