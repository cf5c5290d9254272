/** An option tried, the files that trials need, and what commands have in common. */
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { unpack } from "../model/quark_exports.ts";
import { SOAK } from "../soak.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

/** One option tried: the command line without it, what is added, and whether that computes anything. */
export interface Trial {
  readonly base: readonly string[];
  readonly added: readonly string[];
  readonly computes: boolean;
  /** What the line of a refusal says; null where output changes. */
  readonly refused: RegExp | null;
}

/** Files that trials read and write, in a directory of their own. */
export class Files extends TemporaryDirectory {
  readonly #fp8 = unpack("fp8");
  readonly fp8 = this.#fp8.path;
  readonly text = this.write("text.txt", "Ann has 4 apples and buys 12 more, of which she gives half to Bo.");
  /** A conversation that nothing was said in, as /save of `mxoss chat` writes it. */
  readonly chat = this.write("chat.json", {
    ...{ schema: "mxoss.chat", version: 1, mxoss: "0", system: null, reasoning: null, date: "2026-01-31", turns: [] },
  });
  readonly other = this.write("other.txt", "Bo has 3 plums.");
  /** Results of `mxoss compare`; only trials that compute need them. */
  readonly results = SOAK ? this.#compared() : "nowhere";

  #compared(): string {
    const out = `${this.path}/results`, args = ["compare", "--text", this.text, "--b", "kv=fp8", "--out", out];
    const { success } = new Deno.Command(Deno.execPath(), { args: ["run", "-A", MAIN, ...args] }).outputSync();
    if (!success) throw new Error("no results to try mxoss report with");
    return out;
  }

  override [Symbol.dispose](): void {
    this.#fp8[Symbol.dispose]();
    super[Symbol.dispose]();
  }
}

/** Trials of the options of a command. */
export type Trials = Readonly<Record<string, readonly Trial[]>>;

/** The output changes with `added`. */
export const changes = (base: readonly string[], added: readonly string[], computes = true): Trial => ({
  base,
  added,
  computes,
  refused: null,
});

/** `added` is refused. */
export const refuses = (base: readonly string[], added: readonly string[], refused: RegExp): Trial => ({
  base,
  added,
  computes: false,
  refused,
});

const NO_THREADS = /--threads: expected with --backend emulate, got --backend reference/;
/** What the commands that compute have in common. */
export const computing = (base: readonly string[]) => ({
  backend: [changes(base, ["--backend", "cuda", "--device", "9"])],
  device: [refuses(base, ["--device", "1"], /--device: expected with --backend hip or cuda/)],
  "collectives-library": [refuses(base, ["--collectives-library", "x"], /expected with --backend hip or cuda/)],
  "hip-library": [refuses(base, ["--hip-library", "x"], /--hip-library: expected with --backend hip/)],
  "fp8-scales": [
    refuses(base, ["--fp8-scales", "own"], /--fp8-scales own: expected experts with static FP8 inputs, got none/),
  ],
  dtype: [changes(base, ["--dtype", "f32"])],
  ep: [changes(base, ["--ep", "2"])],
  threads: [refuses([...base, "--backend", "reference"], ["--threads", "2"], NO_THREADS)],
  weights: [
    refuses([...base, "--backend", "reference"], ["--weights", "read"], /--weights: expected with --backend emulate/),
  ],
});

/** What those have in common that load a model in a format. */
export const formats = (base: readonly string[]) => ({
  scheme: [changes(base, ["--scheme", "w_mxfp4_a_mxfp4"])],
  "kv-cache-dtype": [changes(base, ["--kv-cache-dtype", "fp8"])],
  tp: [changes(base, ["--tp", "2"])],
});
