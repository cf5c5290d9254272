/** What becomes of lines for stderr whose reader is slow, away or gone. */
import { PatientWriter } from "../../src/cli/patient_writer.ts";
import { pause } from "../../src/breath.ts";
import { assertEquals } from "../assert.ts";

/** A stream whose reader takes so many bytes at a time, when it is told to. */
class Pipe {
  got = "";
  #gate = Promise.withResolvers<void>();

  constructor(readonly most: number, open: boolean) {
    if (open) this.open();
  }

  open(): void {
    this.#gate.resolve();
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.#gate.promise;
    const taken = bytes.subarray(0, this.most);
    this.got += new TextDecoder().decode(taken);
    return taken.length;
  }
}

Deno.test("lines for a slow reader come in their order, whole and once", async () => {
  const pipe = new Pipe(7, true), writer = new PatientWriter(pipe), lines: string[] = [];
  for (let i = 0; i < 50; i++) {
    lines.push(`line ${i}\n`);
    writer.write(lines.at(-1)!);
    if (i % 10 === 0) await pause(1);
  }
  await writer.written(60_000);
  assertEquals(pipe.got, lines.join(""));
  writer.write("later\n");
  await writer.written(60_000);
  assertEquals(pipe.got, `${lines.join("")}later\n`);
});

Deno.test("lines that nobody reads wait up to a bound, and what is left out is counted in its place", async () => {
  const pipe = new Pipe(1000, false), writer = new PatientWriter(pipe, 20);
  const begun = performance.now();
  for (let i = 0; i < 8; i++) writer.write(`line ${i}\n`);
  await writer.written(5);
  assertEquals([pipe.got, performance.now() - begun < 20_000], ["", true]);
  pipe.open();
  await writer.written(60_000);
  assertEquals(pipe.got, "line 0\nline 1\nnote: 6 lines are left out here, as nobody read on\n");
  // What has been read makes room, also for a line that is longer than what may wait.
  const long = `${"x".repeat(30)}\n`;
  for (const text of [long, "a\n", "b\n"]) writer.write(text);
  await writer.written(60_000);
  const lost = "note: 2 lines are left out here, as nobody read on";
  assertEquals(pipe.got.split("\n").slice(3), [long.trim(), lost, ""]);
});

Deno.test("one line is left out as one, before a line that has room again", async () => {
  const pipe = new Pipe(1000, false), writer = new PatientWriter(pipe, 10);
  for (const text of ["abcdef\n", "too long\n", "x\n"]) writer.write(text);
  pipe.open();
  await writer.written(60_000);
  assertEquals(pipe.got, "abcdef\nnote: 1 line is left out here, as nobody read on\nx\n");
});

Deno.test("a reader that is gone loses what was for it, and a pipe that is full for a moment nothing", async () => {
  let full = 3, gone = true;
  const pipe = new Pipe(1000, true),
    writer = new PatientWriter({
      write: async (bytes) => {
        if (gone) throw new Deno.errors.BrokenPipe("gone");
        if (full-- > 0) throw new Deno.errors.WouldBlock("full");
        return await pipe.write(bytes);
      },
    });
  writer.write("lost\n");
  await writer.written(60_000);
  gone = false;
  writer.write("kept\n");
  await writer.written(60_000);
  assertEquals([pipe.got, full], ["kept\n", -1]);
});
