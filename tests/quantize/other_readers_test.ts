/**
 * What quantize() writes, opened by transformers and by AMD Quark, where Python has them (`pip install torch
 * transformers==5.24.0 amd-quark==0.13`; MXOSS_PYTHON names another Python).
 */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { inverseFrequencies } from "../../src/checkpoint/frequencies.ts";
import { concentration } from "../../src/model/yarn.ts";
import { openSession } from "../session/open_session.ts";
import { assert, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { integers, readGolden } from "../golden.ts";
import { logitsOf, TINY } from "../model/tiny.ts";
import { run, someScales } from "./run.ts";

const PYTHON = Deno.env.get("MXOSS_PYTHON") ?? "python3";
const SCRIPT = new URL("open_written.py", import.meta.url).pathname;
const IDS = integers(readGolden("logits.safetensors"), "two_turns.ids").slice(0, 24);

/** What the script prints of a directory. */
interface Answer {
  readonly floats: Readonly<Record<string, boolean>>;
  readonly swiglu_limit: number;
  readonly topK: number;
  readonly layer_types: readonly string[];
  readonly growth: number;
  readonly frequencies: readonly number[];
  readonly eos: readonly number[];
  readonly quark: {
    readonly logits: readonly (readonly number[])[];
    /** Of each layer's keys and values, whether they are quantized. */
    readonly cached: readonly boolean[];
  } | null;
}

function has(modules: string): boolean {
  try {
    return new Deno.Command(PYTHON, { args: ["-c", `import ${modules}`], stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

const lacking = ["torch", "transformers", "quark.torch"].find((module) => !has(module));

function open(directories: readonly string[]): Answer[] {
  const { stdout, stderr, success } = new Deno.Command(PYTHON, {
    args: [SCRIPT, IDS.join(","), ...directories],
    env: { HF_HUB_OFFLINE: "1" },
  }).outputSync();
  assert(success, new TextDecoder().decode(stderr).slice(-2000));
  return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!);
}

const SCHEMES = ["w_mxfp4_a_mxfp4", "w_mxfp6_e3m2_a_mxfp6_e3m2", "w_mxfp4_a_fp8"] as const;

Deno.test({
  name: `transformers and Quark open what quantize() writes, and Quark computes its logits${
    lacking === undefined ? "" : ` (skipped: ${PYTHON} has no ${lacking})`
  }`,
  ignore: lacking !== undefined,
  fn: async () => {
    using to = new TemporaryDirectory();
    const directories = SCHEMES.map((scheme) => `${to.path}/${scheme}`), withCache = `${to.path}/cache`;
    // Quark has a scale for each expert and the program one for all: equal ones leave nothing to differ in.
    const scales = new Map(someScales(openCheckpoint(TINY)).keys().map((module) => [module, 0.0625]));
    for (const [i, scheme] of SCHEMES.entries()) await run(TINY, directories[i]!, scheme, { scales });
    const kvScales = openCheckpoint(TINY).source.kvScales.map(() => ({ k: 0.0625, v: 0.0625 }));
    await run(TINY, withCache, SCHEMES[0], { kvScales });
    const answers = open([...directories, withCache]), cached = answers.map(({ quark }) => quark!.cached);
    assertEquals(cached, answers.map((_, i) => kvScales.flatMap(() => Array(2).fill(i === SCHEMES.length))));
    for (const [i, answer] of answers.slice(0, SCHEMES.length).entries()) {
      const checkpoint = openCheckpoint(directories[i]!), { config } = checkpoint;
      assertEquals(answer.floats, { swiglu_limit: true, swiglu_alpha: true, rms_norm_eps: true });
      assertEquals([answer.swiglu_limit, answer.topK], [config.swigluLimit, config.topK]);
      assertEquals(answer.layer_types.map((type) => type === "sliding_attention"), config.sliding);
      assertEquals(answer.eos, config.eosTokenIds);
      assertEquals(Math.fround(answer.growth), Math.fround(concentration(config.rope)));
      const own = inverseFrequencies(config.headDim, config.rope);
      assert(own.every((x, pair) => Math.abs(x - answer.frequencies[pair]!) <= 2e-6 * x));
      const session = await openSession(checkpoint, {
        ...{ backend: "emulate", dtype: "f32", kvCacheDtype: "auto", context: IDS.length, threads: 2 },
      });
      const logits = await logitsOf(session, IDS);
      await session.close();
      const theirs = answer.quark!.logits.flat();
      assertEquals(theirs.length, logits.length);
      let difference = 0, power = 0;
      theirs.forEach((x, at) => {
        difference += (logits[at]! - x) ** 2;
        power += x ** 2;
      });
      assert(difference <= 1e-6 * power, `${SCHEMES[i]}: NMSE ${difference / power}`);
    }
  },
});
