import { assert, assertEquals, assertMatch } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { endless } from "./endless.ts";
import { program } from "./program.ts";

const QUESTION = "Wen has 14 peaches. Ben has 8 fewer than Wen. How many peaches do they have together?";

/** Text of a stream as it comes. */
class Listener {
  text = "";
  readonly done: Promise<void>;
  readonly #begun = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.done = this.#listen(stream);
  }

  /** Resolves when the stream has said anything. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  async #listen(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const piece of stream.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)) {
      this.text += piece;
      this.#begun.resolve();
    }
    this.#begun.resolve();
  }
}

/** Bytes of a file; undefined where there is none. */
function sizeOf(path: string): number | undefined {
  try {
    return Deno.statSync(path).size;
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
    return undefined;
  }
}

/**
 * Starts a generation without end and sends the signals one after the other, the first when `on` says the first word.
 */
async function interrupt(on: "stdout" | "stderr", args: readonly string[], signals: readonly Deno.Signal[]) {
  using checkpoint = endless();
  const child = program(["--model", checkpoint.dir, "--max-tokens", "100000", ...args, QUESTION]).spawn();
  await child.stdin.close();
  const outputs = { stdout: new Listener(child.stdout), stderr: new Listener(child.stderr) };
  await outputs[on].begun;
  for (const signal of signals) child.kill(signal);
  const { code } = await child.status;
  await Promise.all([outputs.stdout.done, outputs.stderr.done]);
  return { code, stdout: outputs.stdout.text, stderr: outputs.stderr.text };
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`generate keeps what it has shown when ${signal} comes, and exits with 130`, async () => {
    const { code, stdout, stderr } = await interrupt("stdout", [], [signal]);
    assertEquals(code, 130);
    assertMatch(stdout, /^#.*\n$/s);
    assertMatch(stderr, /^interrupted after [1-9]\d* tokens?\n$/);
  });
}

Deno.test("generate says that Ctrl-C came before the first token, and claims no rate of the prompt", async () => {
  using dir = new TemporaryDirectory();
  const prompt = dir.write("prompt", "apples and pears ".repeat(4000));
  // A signal that comes while the model is opened ends the program without a word; then a later one is sent. The prompt
  // takes half a minute.
  for (let milliseconds = 500;; milliseconds *= 2) {
    const child = program(["--threads", "1", "--json", "--prompt-file", prompt]).spawn();
    await child.stdin.close();
    const outputs = { stdout: new Listener(child.stdout), stderr: new Listener(child.stderr) };
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    child.kill("SIGINT");
    const { code } = await child.status;
    await Promise.all([outputs.stdout.done, outputs.stderr.done]);
    assertEquals(code, 130);
    if (outputs.stdout.text === "") continue;
    assertEquals(outputs.stderr.text, "interrupted before the first token\n");
    const { finish_reason, token_ids, timings } = JSON.parse(outputs.stdout.text);
    assertEquals([finish_reason, token_ids, timings.prefill_tokens_per_second], ["interrupted", [], null]);
    break;
  }
});

Deno.test("generate --json gives the partial object when Ctrl-C is pressed", async () => {
  const { code, stdout } = await interrupt("stderr", ["--json", "--analysis", "always"], ["SIGINT"]);
  assertEquals(code, 130);
  const { finish_reason, token_ids, timings, channels } = JSON.parse(stdout);
  assertEquals(finish_reason, "interrupted");
  assert(token_ids.length > 0 && token_ids.length < 100000);
  assertEquals(timings.generated_tokens, token_ids.length);
  assertMatch(channels.analysis, /^Ben/);
});

Deno.test("logits says what was not written when Ctrl-C is pressed, and leaves nothing", async () => {
  using dir = new TemporaryDirectory();
  const prompt = dir.write("prompt", "apples and pears ".repeat(4000)), out = `${dir.path}/logits`;
  const child = program(["logits", "--threads", "1", "--prompt-file", prompt, "--out", out], { writable: dir.path })
    .spawn();
  await child.stdin.close();
  const outputs = { stdout: new Listener(child.stdout), stderr: new Listener(child.stderr) };
  const names = () => Array.from(Deno.readDirSync(dir.path), ({ name }) => name).filter((name) => name !== "prompt");
  // The file is begun when the computation is; it takes many times as long as a look at the directory. An empty one is
  // made before, and removed, to see that the directory takes files.
  const begun = () => names().some((name) => (sizeOf(`${dir.path}/${name}`) ?? 0) > 0);
  let ended = false;
  child.status.then(() => ended = true);
  while (!begun() && !ended) await new Promise((resolve) => setTimeout(resolve, 20));
  if (!ended) child.kill("SIGINT");
  const { code } = await child.status;
  await Promise.all([outputs.stdout.done, outputs.stderr.done]);
  const last = outputs.stderr.text.trimEnd().split("\n").at(-1);
  assertEquals([code, outputs.stdout.text, last], [130, "", `interrupted: ${out} was not written`]);
  assertEquals(names(), []);
});

Deno.test("generate ends at once when Ctrl-C is pressed twice", async () => {
  const { code } = await interrupt("stdout", [], ["SIGINT", "SIGINT"]);
  assertEquals(code, 130);
});

Deno.test("generate ends in one line when the reader of its output goes away", async () => {
  using checkpoint = endless();
  const child = program(["--model", checkpoint.dir, "--max-tokens", "100000", QUESTION]).spawn();
  await child.stdin.close();
  const stderr = new Listener(child.stderr);
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  const { code } = await child.status;
  await stderr.done;
  assertEquals({ code, stderr: stderr.text }, {
    code: 1,
    stderr: "error: stdout: closed by its reader before all was written\n",
  });
});
