/**
 * Every command of README.md and docs/ is one that there is, and does what the page says. `deno task test` reads their
 * command lines; `deno task test:soak` runs them, but for those whose reason stands here.
 */
import { COMMANDS } from "../../src/cli/commands.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { freePort } from "../../tools/free_port.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { writeExecutable } from "../executable.ts";
import { SOAK } from "../soak.ts";
import { NET_PERMISSION, PERMISSIONS, WRITE_PERMISSION } from "../../tools/package/launch.ts";
import { argumentsOf, commandsOf, type PrintedCommand, printedCommands } from "./commands.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const PRINTED = printedCommands();

/** Commands that are not run here, and why. */
const ELSEWHERE: readonly (readonly [command: RegExp, reason: string])[] = [
  [/task test$/, "it is this run"],
  [/^npx -y deno/, "it is deno task, run here without npx"],
  [/^deno task (?:npm|install|jsr)\b|^npm pack|^npx \.\/|jsr:@mxoss/, "tests/package/ does, from an empty home"],
  [/^deno publish/, ".ci/run does, where deno task jsr has made what is published"],
  [/^deno task compile|^sha256sum/, "tests/package/standalone_test.ts runs what .ci/run builds"],
  [/^deno task kernels:/, ".ci/run does, where there is clang-22"],
  [/--backend cuda|devices --verify/, "it needs a GPU"],
  [/srun .*mxoss/, "it needs GPUs; tests/cluster/ starts ranks by srun"],
  [/mxoss serve|^curl/, "they are run together, below"],
  [/^lm_eval/, "it downloads gsm8k; tests/serve/clients_test.ts gives lm-eval problems of ours"],
  [/--shard|^mxoss report RUN/, "tests/eval/shards/ runs all of the parts"],
  [/^mpirun/, "tests/cluster/ranks_test.ts does, where there is MPI"],
  [/help --man|completions/, "tests/cli/ runs the shells"],
  [/^mxoss chat$/, "tests/cli/chat_soak_test.ts types at a terminal"],
];

/** What is printed in another way on every machine, or each time. */
const VARIES = /^(?:revision|wasm|gpu kernels):|^Task /;

const elsewhere = ({ text }: PrintedCommand) => ELSEWHERE.find(([command]) => command.test(text));

Deno.test("the commands of the pages are found", () => {
  assert(PRINTED.length > 40, `only ${PRINTED.length}`);
  const page = "```sh\na b  # c\nd \\\n  e\nf <<'END'\n# g\nEND\n```\n\n```console\n$ h\ni\n$ j\n```\n";
  assertEquals(commandsOf("x", page).map(({ text, output }) => [text, ...output]), [
    ["a b"],
    ["d \\\n  e"],
    ["f <<'END'\n# g\nEND"],
    ["h", "i"],
    ["j"],
  ]);
  assertEquals(argumentsOf({ page: "", text: 'A=b mxoss --x "c d" \\\n  e | f', output: [] }), ["--x", "c d", "e"]);
  const stale = ELSEWHERE.filter(([command]) => !PRINTED.some(({ text }) => command.test(text)));
  assertEquals(stale, []);
});

Deno.test("every command line of the pages is one that mxoss or deno.json has", async () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`)) as { tasks: Record<string, string> };
  for (const command of PRINTED) {
    const [, task] = /deno(?:@[\d.]+)? task (?:--quiet )?([\w:]+)/.exec(command.text) ?? [];
    if (task !== undefined) assert(Object.hasOwn(tasks, task), `${command.page}: ${command.text}`);
    const args = argumentsOf(command);
    if (args === null || args[0] === "--version") continue;
    const named = COMMANDS.get(args[0]!), parser = named ?? COMMANDS.get("generate")!;
    try {
      await parser.parse(named === undefined ? args : args.slice(1));
    } catch (thrown) {
      throw new Error(`${command.page}: ${command.text}: ${thrown instanceof Error ? thrown.message : thrown}`);
    }
  }
});

/** A directory with what the commands name, and `mxoss` on the PATH. */
function place(dir: string): Record<string, string> {
  for (const name of ["tests", "models", "docs", "README.md"]) Deno.symlinkSync(`${ROOT}${name}`, `${dir}/${name}`);
  Deno.mkdirSync(`${dir}/path/to`, { recursive: true });
  // The embedded model stands for larger ones.
  const hub = `${dir}/hub/models--openai--gpt-oss-20b`, commit = "0123456789abcdef0123456789abcdef01234567";
  for (const folder of ["refs", "snapshots"]) Deno.mkdirSync(`${hub}/${folder}`, { recursive: true });
  Deno.writeTextFileSync(`${hub}/refs/main`, commit);
  for (const name of ["path/to/gpt-oss-20b", "DIR", `hub/models--openai--gpt-oss-20b/snapshots/${commit}`]) {
    Deno.symlinkSync(`${ROOT}models/tiny-gpt-oss`, `${dir}/${name}`);
  }
  Deno.symlinkSync(`${ROOT}tests/goldens/gguf/model-bf16.gguf`, `${dir}/gpt-oss-20b-mxfp4.gguf`);
  const flags = [...PERMISSIONS, WRITE_PERMISSION, NET_PERMISSION].map((flag) => `'${flag}'`).join(" ");
  const script =
    `#!/bin/sh\nexec '${Deno.execPath()}' run --config '${ROOT}deno.json' ${flags} '${ROOT}main.ts' "$@"\n`;
  Deno.mkdirSync(`${dir}/bin`);
  writeExecutable(`${dir}/bin/mxoss`, script);
  return { PATH: `${dir}/bin:${Deno.env.get("PATH")}`, HF_HUB_CACHE: `${dir}/hub`, NO_COLOR: "1" };
}

for (const command of PRINTED.filter((one) => elsewhere(one) === undefined)) {
  const { page, text, output } = command, ignore = !SOAK;
  Deno.test({
    name: `${page}: ${text.split("\n")[0]}${ignore ? " (skipped: a soak)" : ""}`,
    ignore,
    fn: async () => {
      using dir = new TemporaryDirectory();
      const env = place(dir.path), isTask = /^deno task (?!.*mxoss)/.test(text);
      // An error is printed where the cache has no such model.
      const refused = output[0]?.startsWith("error:") === true;
      const line = text.replace(/deno task (?:--quiet )?mxoss/, "mxoss").replaceAll(
        "~/.cache/huggingface/hub",
        `${dir.path}/hub`,
      );
      const { code, stdout } = await new Deno.Command("bash", {
        args: ["-c", `set -o pipefail\n{ ${line}\n} ${output.length > 0 ? "2>&1" : ""}`],
        cwd: isTask ? ROOT : dir.path,
        env: { ...env, ...(refused ? { HF_HUB_CACHE: "/root/.cache/huggingface/hub-of-nobody" } : {}) },
        stdin: "null",
      }).output();
      const printed = new TextDecoder().decode(stdout);
      assertEquals(code, refused ? 2 : 0, printed);
      for (const expected of output) {
        if (expected === "..." || VARIES.test(expected) || refused) continue;
        assertStringIncludes(`\n${printed}`, `\n${expected}`);
      }
    },
  });
}

const SERVED = PRINTED.filter(({ text }) => /^(?!.*srun).*mxoss serve|^curl/.test(text));
const HAS_CURL = SOAK && new Deno.Command("sh", { args: ["-c", "command -v curl"] }).outputSync().success;

/** Waits until a server answers. */
async function answers(url: string, ended: Promise<unknown>): Promise<void> {
  let over = false;
  ended.then(() => over = true);
  while (!over) {
    const reply = await fetch(url).catch(() => null);
    await reply?.body?.cancel();
    if (reply?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no server at ${url}`);
}

Deno.test({
  name: `servers of the pages start, and answer what is asked of them${HAS_CURL ? "" : " (skipped: a soak, by curl)"}`,
  ignore: !HAS_CURL,
  fn: async () => {
    using dir = new TemporaryDirectory();
    const env = place(dir.path);
    const shell = (line: string) => new Deno.Command("bash", { args: ["-c", line], cwd: dir.path, env, stdin: "null" });
    const port = freePort();
    const here = ({ text }: PrintedCommand) => text.replace("127.0.0.1:8080", `127.0.0.1:${port}`);
    for (let i = 0; i < SERVED.length;) {
      const line = here(SERVED[i]!).replace(
        /(?:deno task (?:--quiet )?)?mxoss serve/,
        `exec mxoss serve --port ${port}`,
      );
      assert(line.includes("exec"), `${SERVED[i]!.page}: ${line}: expected a server first`);
      const server = shell(line).spawn();
      try {
        await answers(`http://127.0.0.1:${port}/health`, server.status);
        for (i++; i < SERVED.length && SERVED[i]!.text.startsWith("curl"); i++) {
          const { code, stdout } = await shell(here(SERVED[i]!).replace("curl", "curl --silent --fail")).output();
          assertEquals(code, 0, SERVED[i]!.text);
          JSON.parse(new TextDecoder().decode(stdout));
        }
      } finally {
        server.kill("SIGTERM");
        await server.status;
      }
    }
  },
});
