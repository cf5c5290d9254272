/** OpenAI's clients for Node.js and Python, each in its own program, against `mxoss serve` with the embedded model. */
import { assert, assertEquals } from "../assert.ts";
import { nodeWith, pythonWith } from "../installed.ts";
import { SOAK } from "../soak.ts";
import { type ServerProcess, startServer } from "./server_process.ts";

const HERE = new URL("./", import.meta.url).pathname;

const node = SOAK ? nodeWith(["openai@7.57.0", "zod@4.6.7"]) : null;
const python = SOAK ? pythonWith(["openai==3.57.0"]) : null;
const why = (program: string, there: string | null) =>
  there !== null ? "" : SOAK ? ` (skipped: no ${program})` : " (skipped without MXOSS_SOAK=1)";

/** What a client says that it got. */
interface Got {
  readonly parsed: { readonly count: number; readonly unit: string };
  readonly streamed: unknown;
  readonly call: readonly [string, { readonly size: string; readonly marbles: number }, string];
  readonly streamedCall: boolean;
  readonly none: null;
  readonly response: string;
  readonly kinds: readonly string[];
  readonly types: readonly string[];
  readonly second: { readonly count: number; readonly unit: string };
  readonly gone: number;
}

async function got(command: string, args: readonly string[], server: ServerProcess): Promise<Got> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args, server.url] }).output();
  const text = new TextDecoder();
  assert(success, text.decode(stderr));
  return JSON.parse(text.decode(stdout));
}

function check({ parsed, streamed, call, streamedCall, none, response, kinds, types, second, gone }: Got): void {
  assert(Number.isInteger(parsed.count) && parsed.count >= 0 && parsed.count <= 500);
  assert(["marbles", "boxes"].includes(parsed.unit) && Number.isInteger(second.count));
  assertEquals(streamed, parsed);
  const [name, { size, marbles }, finish] = call;
  assertEquals([name, finish, streamedCall, none, gone], ["open_box", "tool_calls", true, null, 404]);
  assert(["small", "large"].includes(size) && marbles >= 1 && marbles <= 99);
  assertEquals([response, kinds], ["#### 72", ["reasoning", "message"]]);
  assert(types.includes("response.completed") && types.includes("response.reasoning_text.done"));
}

Deno.test({
  name: `chat by OpenAI's client for Node.js${why("npm", node)}`,
  ignore: node === null,
  fn: async () => {
    await using server = await startServer(["--threads", "1"]);
    // A script finds packages beside it, or in the folders above.
    Deno.copyFileSync(`${HERE}chat_client.mjs`, `${node}/chat_client.mjs`);
    check(await got("node", [`${node}/chat_client.mjs`], server));
  },
});

Deno.test({
  name: `chat by OpenAI's client for Python${why("python3-venv", python)}`,
  ignore: python === null,
  fn: async () => {
    await using server = await startServer(["--threads", "1"]);
    check(await got(python!, [`${HERE}chat_client.py`], server));
  },
});
