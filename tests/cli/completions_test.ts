/** Completions, tried by the shells themselves: bash everywhere, zsh and fish in soaks, where they are installed. */
import { COMMANDS } from "../../src/cli/commands.ts";
import { SCHEME_NAMES } from "../../src/plan/scheme.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { SOAK } from "../soak.ts";
import { inProcess } from "./in_process.ts";

/** Whether a program is there; in soaks only, where `soak` says so. */
function has(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["-c", "exit 0"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

async function script(shell: string): Promise<string> {
  const { code, stdout, stderr } = await inProcess(["completions", shell]);
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

/** Runs a script of a shell with a cache that has two models. */
function run(shell: string, args: readonly string[], text: string): string {
  using dir = new TemporaryDirectory();
  for (const name of ["models--openai--gpt-oss-20b", "models--org--other", "datasets--org--data"]) {
    Deno.mkdirSync(`${dir.path}/${name}/snapshots`, { recursive: true });
  }
  const path = dir.write("script", text);
  const { code, stdout, stderr } = new Deno.Command(shell, {
    args: [...args, path],
    env: { HF_HUB_CACHE: dir.path, TERM: "vt100", LC_ALL: "C.UTF-8" },
  }).outputSync();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assertEquals([code, decode(stderr)], [0, ""]);
  return decode(stdout);
}

const E2M3 = SCHEME_NAMES.filter((name) => name.startsWith("w_mxfp6_e2m3_a_"));

/** Command lines whose last word is completed, and what it becomes. */
const CASES: readonly (readonly [words: readonly string[], completed: readonly string[]])[] = [
  [["insp"], ["inspect"]],
  [["eval", ""], ["gsm8k", "perplexity"]],
  [["completions", ""], ["bash", "zsh", "fish"]],
  [["help", "quan"], ["quantize"]],
  [["--sche"], ["--scheme"]],
  [["eval", "--sequence-"], ["--sequence-length"]],
  [["--scheme", "w_mxfp6_e2m3_a_"], E2M3],
  [["eval", "--scheme", "fp8,w_mxfp6_e2m3_a_"], E2M3.map((name) => `fp8,${name}`)],
  [["inspect", "--model", "op"], ["openai/gpt-oss-20b"]],
  [["compare", "--format", ""], ["llama.cpp"]],
  [["eval", "--logprobs", ""], ["keep", "none"]],
  [["--max-tokens", ""], []],
  [["--prompt-file", "deno.j"], ["deno.json"]],
  [["list", "src/ba"], ["src/backends"]],
];

const bash = has("bash");

Deno.test({
  name: `bash completes commands, options, values, files and models${bash ? "" : " (skipped: there is no bash)"}`,
  ignore: !bash,
  fn: async () => {
    const cases = [...CASES, [["--scheme", "=", "ptp"], ["ptpc_fp8"]], [["bench", "--backend", "="], [
      "emulate",
      "reference",
      "hip",
      "cuda",
    ]]] as const;
    const lines = cases.map(([words]) =>
      `COMP_WORDS=(mxoss ${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length}; _mxoss; ` +
      'echo "${COMPREPLY[*]}"'
    );
    const found = run("bash", [], `${await script("bash")}${lines.join("\n")}\n`).trimEnd().split("\n");
    cases.forEach(([words, completed], i) => {
      assertEquals(found[i]!.split(" ").filter((word) => word !== "").sort(), completed.toSorted(), words.join(" "));
    });
  },
});

const fish = SOAK && has("fish");

Deno.test({
  name: `fish completes the same${fish ? "" : ` (skipped: ${SOAK ? "there is no fish" : "MXOSS_SOAK is not set"})`}`,
  ignore: !fish,
  fn: async () => {
    const lines = CASES.map(([words]) =>
      `complete -C 'mxoss ${words.join(" ")}' | string replace -r '\\t.*' ''; echo =`
    );
    const found = run("fish", ["--no-config"], `${await script("fish")}${lines.join("\n")}\n`).split("=\n");
    CASES.forEach(([words, completed], i) => {
      const ours = found[i]!.split("\n").filter((word) => word !== "").map((word) => word.replace(/\/$/, ""));
      // Where nothing fits, fish offers files of its own accord.
      if (completed.length > 0) assertEquals(ours.sort(), completed.toSorted(), words.join(" "));
    });
  },
});

const zsh = SOAK && has("zsh");

/** Types lines into an interactive zsh in a pseudo terminal, presses Tab, and prints what the line is then. */
const TYPIST = `
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1=; unsetopt beep; autoload -Uz compinit; compinit -u -D; source $COMPLETIONS"
zpty -w z "said() { print -r -- \\$BUFFER >>$SAID; BUFFER= }; zle -N said; bindkey '^O' said; echo RE''ADY"
zpty -r -m z out '*READY*'
for line in "\${LINES_TYPED[@]}"; do
  zpty -n -w z "$line"$'\\t'$'\\C-o'
  # Keys are taken one after the other, however long a completion takes.
  ((++typed))
  until [[ -f $SAID && $(wc -l <$SAID) -ge $typed ]]; do
    sleep 0.05
    while zpty -r -t z chunk; do :; done
  done
done
zpty -d z
cat $SAID
`;

Deno.test({
  name: `zsh completes the same${zsh ? "" : ` (skipped: ${SOAK ? "there is no zsh" : "MXOSS_SOAK is not set"})`}`,
  ignore: !zsh,
  fn: async () => {
    using dir = new TemporaryDirectory();
    const path = dir.write("_mxoss", await script("zsh"));
    const single = CASES.filter(([, completed]) => completed.length === 1);
    const typed = single.map(([words]) => `'mxoss ${words.join(" ")}'`).join(" ");
    const setup = `COMPLETIONS=${path}\nSAID=${dir.path}/said\nLINES_TYPED=(${typed})\n`;
    const found = run("zsh", ["-f"], `${setup}${TYPIST}`).trimEnd().split("\n");
    const wanted = single.map(([words, [completed]]) => ["mxoss", ...words.slice(0, -1), completed].join(" "));
    // Behind a whole word stands a blank, behind a directory a slash, and behind an option that takes a value "=".
    assertEquals(found.map((line) => line.replace(/[ /=]$/, "")), wanted);
  },
});

Deno.test("completions know every command and every option, and no other shell", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const text = await script(shell);
    for (const [name, command] of COMMANDS) {
      assert(text.includes(name), `${shell}: ${name}`);
      for (const option of Object.keys((await command.spec()).options)) {
        assert(new RegExp(`(?:--|-l )${option}\\b`).test(text), `${shell}: ${name} --${option}`);
      }
    }
  }
  for (const [args, got] of [[["tcsh"], '"tcsh"'], [[], "none"]] as const) {
    const { code, stderr } = await inProcess(["completions", ...args]);
    assertEquals([code, stderr], [2, `error: SHELL: expected bash, zsh or fish, got ${got}\n`]);
  }
  assertMatch((await inProcess(["completions", "--help"])).stdout, /source <\(mxoss completions bash\)/);
});
