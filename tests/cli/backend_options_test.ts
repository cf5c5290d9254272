/**
 * Options that only some backends have a use for: every command that lists one honours it, or refuses it in one line
 * that names the option and the backend, before anything is read.
 */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { BENCH } from "../../src/cli/bench_options.ts";
import { CHAT } from "../../src/cli/chat/options.ts";
import { COMPARE } from "../../src/cli/compare_options.ts";
import { sideChoices } from "../../src/cli/compare_sides.ts";
import { matrixOf, settingsOf } from "../../src/cli/eval/cells.ts";
import { EVAL } from "../../src/cli/eval/options.ts";
import { GENERATE } from "../../src/cli/generate_options.ts";
import { LOGITS } from "../../src/cli/logits_options.ts";
import { parseCommand } from "../../src/cli/options.ts";
import { SERVE } from "../../src/cli/serve_options.ts";
import { BACKEND_OPTIONS, choicesOf } from "../../src/cli/settings.ts";
import { openSetting } from "../../src/session/open.ts";
import {
  type BackendChoice,
  type BackendName,
  BACKENDS,
  type Choices,
  DEFAULTS,
  planSetting,
} from "../../src/session/setting.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { inProcess } from "./in_process.ts";
import { TINY } from "./program.ts";

const README = new URL("../../README.md", import.meta.url).pathname;
const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;
const LIBRARY = "/nowhere/libamdhip64.so";
/** Never written: whatever asks for it here is refused before. */
const LOGITS_FILE = new URL("refused.safetensors", import.meta.url).pathname;

/** Each option: what is given on the command line, what the setting then has, and the backends that use it. */
const OPTIONS: Readonly<
  Record<BackendChoice, { given: string; value: string | number; used: readonly BackendName[] }>
> = {
  threads: { given: "3", value: 3, used: ["emulate"] },
  weights: { given: "read", value: "read", used: ["emulate"] },
  device: { given: "7", value: 7, used: ["hip", "cuda"] },
  hipLibrary: { given: LIBRARY, value: LIBRARY, used: ["hip"] },
  collectivesLibrary: { given: LIBRARY, value: LIBRARY, used: ["hip", "cuda"] },
};

/** A command that computes: a command line to which options are appended, and the settings that it makes of them. */
interface Computing {
  readonly args: readonly string[];
  readonly settings: (words: readonly string[]) => Promise<readonly Choices[]> | readonly Choices[];
}

const evalSettings = async (words: readonly string[]) => {
  const { options } = parseCommand(EVAL, words);
  const models = [{ name: null, checkpoint: openCheckpoint(TINY) }];
  return await settingsOf(matrixOf(models, options), models, options, null);
};
const COMPUTING: Readonly<Record<string, Computing>> = {
  generate: {
    args: ["generate", "hello"],
    settings: (words) => [choicesOf(parseCommand(GENERATE, words).options)],
  },
  chat: {
    args: ["chat"],
    settings: (words) => [choicesOf(parseCommand(CHAT, words).options)],
  },
  logits: {
    args: ["logits", "--tokens", "1,2", "--out", LOGITS_FILE],
    settings: (words) => [choicesOf(parseCommand(LOGITS, words).options)],
  },
  "eval gsm8k": { args: ["eval", "gsm8k", "--data", PROBLEMS], settings: evalSettings },
  "eval perplexity": { args: ["eval", "perplexity", "--text", README], settings: evalSettings },
  bench: {
    args: ["bench"],
    settings: (words) => [choicesOf(parseCommand(BENCH, words).options)],
  },
  serve: {
    args: ["serve"],
    // A server has a list of schemes.
    settings: (words) => [choicesOf({ ...parseCommand(SERVE, words).options, scheme: undefined })],
  },
  compare: {
    args: ["compare", "--text", README],
    settings: (words) => sideChoices(parseCommand(COMPARE, words).options),
  },
};

for (const [command, { args, settings }] of Object.entries(COMPUTING)) {
  for (const choice of Object.keys(OPTIONS) as BackendChoice[]) {
    const { given, value, used } = OPTIONS[choice], option = BACKEND_OPTIONS[choice];
    Deno.test(`${command} --${option} is honoured by ${used.join(" and ")}, and refused by others`, async () => {
      for (const backend of BACKENDS) {
        const words = [...args.slice(1), "--backend", backend, `--${option}`, given];
        if (used.includes(backend)) {
          const made = await settings(words);
          assert(made.length > 0);
          for (const setting of made) assertEquals([setting.backend, setting[choice]], [backend, value]);
          continue;
        }
        assertEquals(await inProcess([args[0]!, ...words]), {
          code: 2,
          stdout: "",
          stderr: `error: --${option}: expected with --backend ${used.join(" or ")}, got --backend ${backend}\n`,
        });
      }
    });
  }
}

Deno.test("compare honours options of a side, and refuses those that its backend has no use for", async () => {
  for (const choice of Object.keys(OPTIONS) as BackendChoice[]) {
    const { given, value, used } = OPTIONS[choice], option = BACKEND_OPTIONS[choice];
    for (const backend of BACKENDS) {
      const words = ["--text", README, "--b", `backend=${backend},${option}=${given}`];
      if (used.includes(backend)) {
        const [a, b] = sideChoices(parseCommand(COMPARE, words).options);
        assertEquals([a!.backend, a![choice], b!.backend, b![choice]], ["emulate", undefined, backend, value]);
        continue;
      }
      assertEquals(await inProcess(["compare", ...words]), {
        code: 2,
        stdout: "",
        stderr: `error: --b: ${option}: expected with backend=${used.join(" or ")}, got backend=${backend}\n`,
      });
    }
  }
});

Deno.test("compare gives an option of both sides to the one whose backend has a use for it", async () => {
  const { options } = parseCommand(COMPARE, ["--text", README, "--a", "backend=reference", "--threads", "3"]);
  assertEquals(sideChoices(options).map(({ threads }) => threads), [undefined, 3]);
  const neither = ["--a", "backend=hip", "--b", "backend=reference", "--threads", "3"];
  const { code, stderr } = await inProcess(["compare", "--text", README, ...neither]);
  assertEquals(code, 2);
  assertEquals(stderr, "error: --threads: expected with --backend emulate, got --backend hip and reference\n");
});

Deno.test("every command that lists an option about a backend is tried here", async () => {
  const names = Object.values(BACKEND_OPTIONS);
  const listing: string[] = [];
  for (const [name, command] of COMMANDS) {
    const spec = await command.spec();
    if (names.some((option) => option in spec.options)) listing.push(name);
  }
  assertEquals(listing, ["generate", "chat", "logits", "eval", "compare", "quantize", "bench", "serve", "devices"]);
  assertEquals([...new Set(Object.keys(COMPUTING).map((name) => name.split(" ")[0]!))], [
    "generate",
    "chat",
    "logits",
    "eval",
    "bench",
    "serve",
    "compare",
  ]);
});

Deno.test("quantize takes options about computing with --calibrate only, which computes", async () => {
  for (const [option, given] of [["threads", "2"], ["weights", "read"], ["calibrate-tokens", "9"]]) {
    const args = ["quantize", "--scheme", "ptpc_fp8", "--out", "/nowhere/new", `--${option}`, given!];
    const { code, stderr } = await inProcess(args);
    assertEquals([code, stderr], [2, `error: --${option}: expected with --calibrate\n`]);
  }
});

Deno.test("every command that computes loads the library that --hip-library names", async () => {
  for (const { args } of Object.values(COMPUTING)) {
    const limit = args[0] === "eval" || args[0] === "compare" ? ["--limit", "2"] : [];
    const { code, stderr } = await inProcess([...args, ...limit, "--backend", "hip", "--hip-library", LIBRARY]);
    assertEquals(code, 1, stderr);
    assertStringIncludes(stderr, LIBRARY);
  }
});

Deno.test("openSetting() computes with the threads of a setting, and loads weights in its way", async () => {
  const checkpoint = openCheckpoint(TINY);
  for (
    const [threads, weights, words] of [[1, "read", /1 thread, .*weights read$/], [
      3,
      "map",
      /3 threads, .*mapped$/,
    ]] as const
  ) {
    const session = await openSetting(planSetting({ ...DEFAULTS, checkpoint, threads, weights }), {
      slots: 1,
      context: 8,
    });
    assertMatch(session.engine.info.description, words);
    await session.close();
  }
});
