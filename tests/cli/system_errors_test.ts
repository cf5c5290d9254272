/** What the system refuses is one line about the path, the option or the thread, and never "internal error". */
import { COMMAND_LINE } from "../../src/cli/spelling.ts";
import { systemError } from "../../src/cli/system_errors.ts";
import { FailureError } from "../../src/errors.ts";
import { Journal } from "../../src/eval/journal.ts";
import { assertEquals, assertMatch, assertRejects, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { openTiny } from "../model/tiny.ts";
import { TINY } from "./program.ts";

const linux = Deno.build.os === "linux";
const MAIN = new URL("../../main.ts", import.meta.url).pathname;

/** Runs the program through a shell, which redirects its streams. */
async function redirected(args: readonly string[], redirection: string) {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", `exec "$0" "$@" ${redirection}`, Deno.execPath(), "run", "--no-prompt", "--allow-read", MAIN, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test({
  name: "a full disk behind stdout is an error of stdout, exit code 1",
  ignore: !linux,
  fn: async () => {
    const tokens = ["--raw", "--max-tokens", "2"], problems = "tests/goldens/word-problems.jsonl";
    const commands = [
      ["--help"],
      ["help", "--man"],
      ["completions", "bash"],
      [...tokens, "Ben"],
      [...tokens, "--json", "Ben"],
      ["inspect"],
      ["list", TINY],
      ["devices", "--hip-library", "/nowhere"],
      ["eval", "gsm8k", "--data", problems, "--limit", "1", "--max-tokens", "2"],
      ["eval", "gsm8k", "--data", problems, "--dry-run"],
      ["compare", "--b", "kv=fp8", "--text", "tests/goldens/eval/two_turns.txt", "--limit", "9"],
    ];
    for (const args of commands) {
      const { code, stderr } = await redirected(args, ">/dev/full");
      assertMatch(stderr, /^error: stdout: cannot be written: No space left on device[^\n]*\n$/, args.join(" "));
      assertEquals(code, 1);
    }
  },
});

Deno.test({
  name: "a file that outgrows its limit is an error of the file, exit code 1, and leaves nothing",
  ignore: !linux,
  fn: async () => {
    using dir = new TemporaryDirectory();
    const args = ["logits", "--prompt", "Ben has apples. ".repeat(200), "--out", `${dir.path}/logits.safetensors`];
    // Of 512 bytes each. Deno keeps compiled code in files that may be larger.
    const run = [
      "run",
      "--no-code-cache",
      "--no-prompt",
      "--allow-read",
      "--allow-ffi",
      `--allow-write=${dir.path}`,
      MAIN,
    ];
    const { code, stderr } = await new Deno.Command("sh", {
      args: ["-c", `ulimit -f 64; exec "$0" "$@"`, Deno.execPath(), ...run, ...args],
      env: { NO_COLOR: "1" },
    }).output();
    assertMatch(
      new TextDecoder().decode(stderr),
      /^error: [^\n]*logits\.safetensors: cannot be written: File too large[^\n]*\n$/,
    );
    assertEquals([code, Array.from(Deno.readDirSync(dir.path))], [1, []]);
  },
});

Deno.test({
  name: "a directory as stdin is an error of stdin, exit code 2",
  ignore: !linux,
  fn: async () => {
    const { code, stderr } = await redirected([], "</");
    assertEquals({ code, stderr }, { code: 2, stderr: "error: stdin: expected a file, got a directory\n" });
  },
});

Deno.test("a full disk behind a journal is an error of its path, and what was whole stays", () => {
  const dir = Deno.makeTempDirSync({ prefix: "mxoss-full-" }), path = `${dir}/answers.jsonl`;
  const read = (value: unknown) => value as { index: number };
  const { writeSync } = Deno.FsFile.prototype;
  try {
    {
      using journal = Journal.open(path, { schema: "x" }, read);
      journal.append({ index: 0 });
      Deno.FsFile.prototype.writeSync = () => {
        throw Object.assign(new Error("No space left on device (os error 28)"), { code: "ENOSPC" });
      };
      const error = assertThrows(() => journal.append({ index: 1 }), FailureError);
      assertEquals(error.message, `${path}: cannot be written: No space left on device (os error 28)`);
      Deno.FsFile.prototype.writeSync = writeSync;
    }
    using again = Journal.open(path, { schema: "x" }, read);
    assertEquals([...again.entries.keys()], [0]);
  } finally {
    Deno.FsFile.prototype.writeSync = writeSync;
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("threads that cannot start are a failure that names the thread", async () => {
  const { Worker: real } = globalThis;
  let left = 1;
  globalThis.Worker = class extends real {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      if (left-- === 0) throw new Deno.errors.WouldBlock("Resource temporarily unavailable (os error 11)");
      super(...args);
    }
  };
  try {
    const failure = await assertRejects(() => openTiny({ threads: 4 }), FailureError);
    assertMatch(
      failure.line(COMMAND_LINE),
      /^thread 3 of 4 could not be started: Resource temporarily unavailable.*fewer --threads$/,
    );
    left = 0;
    const ranks = await assertRejects(() => openTiny({ tp: 2 }), FailureError);
    assertMatch(
      ranks.line(COMMAND_LINE),
      /^the thread of rank 0 of 2 could not be started: .* fewer ranks \(--tp, --ep\)$/,
    );
  } finally {
    globalThis.Worker = real;
  }
});

Deno.test("systemError() tells what the system refuses, and want of memory, from defects", () => {
  const thrown = (act: () => unknown) => {
    try {
      return act();
    } catch (thrown) {
      return thrown;
    }
  };
  assertMatch(systemError(thrown(() => Deno.statSync("/nowhere/at/all")))!, /^the system refused: /);
  assertMatch(systemError(thrown(() => new Float32Array(2 ** 53)))!, /^out of memory: /);
  assertMatch(systemError(thrown(() => new ArrayBuffer(2 ** 52)))!, /^out of memory: /);
  assertMatch(systemError(thrown(() => "x".repeat(2 ** 29).repeat(4)))!, /^out of memory: /);
  assertEquals(systemError(thrown(() => (null as unknown as { x: number }).x)), null);
  assertEquals(systemError(thrown(() => (1).toFixed(1000))), null);
  assertEquals(systemError(Object.assign(new TypeError("x"), { code: "ERR_INVALID_ARG_TYPE" })), null);
});

const NUMBERS = { SIGINT: 2, SIGTERM: 15 };

/** Whether a process has not taken note yet of a signal that it was sent. */
function isPending(pid: number, signal: keyof typeof NUMBERS): boolean {
  const [, mask] = /^ShdPnd:\s+([0-9a-f]+)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))!;
  return (BigInt(`0x${mask}`) >> BigInt(NUMBERS[signal] - 1) & 1n) === 1n;
}

Deno.test({
  name: "a second Ctrl-C ends a run whose thread makes no pause",
  ignore: !linux,
  fn: async () => {
    const script = new URL("busy.ts", import.meta.url).pathname;
    const args = ["run", "--no-check", "--allow-all", script];
    const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "null" }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let said = (await reader.read()).value!;
    for (let i = 0; i < 2; i++) {
      child.kill("SIGINT");
      // Two that come at the same time are one.
      if (i === 0) { while (isPending(child.pid, "SIGINT")) await new Promise((resolve) => setTimeout(resolve, 5)); }
    }
    for (let read = await reader.read(); !read.done; read = await reader.read()) said += read.value;
    // One that is not ended computes to its end, which takes a minute, and says so.
    assertEquals([(await child.status).signal, said], ["SIGINT", "busy\n"]);
  },
});

Deno.test({
  name: "signals that no key sends, and that come at once, are one signal, and another one ends the program",
  ignore: !linux,
  fn: async () => {
    const script = new URL("busy.ts", import.meta.url).pathname;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const args = ["run", "--no-check", "--allow-all", script, "waits"];
      const child = new Deno.Command(Deno.execPath(), { args, stdin: "piped", stdout: "piped", stderr: "null" })
        .spawn();
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      assertEquals((await reader.read()).value, "waits\n");
      // As npm, its launcher and who stops all of them send them.
      for (let i = 0; i < 3; i++) {
        child.kill(signal);
        while (isPending(child.pid, signal)) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      child.kill("SIGUSR2");
      assertEquals((await reader.read()).value, "goes on\n", `${signal}: three at once`);
      child.kill(signal);
      assertEquals((await child.status).signal, signal);
      await reader.cancel();
      await child.stdin.close().catch(() => {});
    }
  },
});
