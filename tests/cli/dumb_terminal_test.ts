/** TERM=dumb: a terminal of an editor or a log, which shows control sequences instead of obeying them. */
import { ProgressBar } from "../../src/cli/progress.ts";
import { drawsOver, writeAside } from "../../src/cli/terminal.ts";
import { assertEquals } from "../assert.ts";
import { replaced } from "./in_process.ts";

Deno.test("a terminal that is dumb gets no control sequences", () => {
  let written = "";
  for (const term of ["dumb", "xterm"]) {
    using _replaced = replaced(
      [Deno.stderr, {
        isTerminal: () => true,
        writeSync: (bytes: Uint8Array) => (written += new TextDecoder().decode(bytes), bytes.length),
      }],
      [Deno.env, { get: () => term }],
      [performance, { now: () => 0 }],
    );
    assertEquals(drawsOver(), term !== "dumb");
    written = "";
    using bar = new ProgressBar("loading");
    Object.defineProperty(performance, "now", { value: () => 1000, configurable: true });
    bar.update(1, 2);
    writeAside("thinking");
    assertEquals(written.includes("\u001b"), term !== "dumb", JSON.stringify(written));
  }
});
