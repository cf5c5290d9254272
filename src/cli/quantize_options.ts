/** The options of `mxoss quantize`. */
import { z } from "zod";
import { SCHEME_NAMES } from "../plan/scheme.ts";
import { isTarget, type LayerScheme, type TargetScheme } from "../quantize/targets.ts";
import { CALIBRATION_TOKENS } from "./calibration_text.ts";
import { COMPUTE_OPTIONS, FORMAT_OPTIONS, MODEL_OPTIONS } from "./model_options.ts";
import { type CommandSpec, integer, ofPart, option, sayingGot, text } from "./options.ts";
import { schemeName } from "./scheme_name.ts";
import { shardSize } from "./shard_size.ts";

/** Most layers that an entry of `--layers` may name; the model has fewer. */
const MAX_LAYER = 1 << 12;

const TARGETS: readonly string[] = SCHEME_NAMES.filter(isTarget);

/** Schema of a scheme that weights can be quantized to; others are not named as what was expected. */
function targetScheme() {
  return schemeName(TARGETS).transform((name, context): TargetScheme => {
    if (isTarget(name)) return name;
    const expected = name === "bf16"
      ? `a scheme that quantizes weights (${TARGETS.join(", ")})`
      : `w_mxfp4, which is computed with such inputs by --scheme ${name} and has no place in its config for them`;
    context.addIssue(sayingGot(`expected ${expected}, got "${name}"`));
    return z.NEVER;
  });
}

/** Schema of `0-3=SCHEME,7=SCHEME`. */
function layerSchemes() {
  return z.string().transform((list, context): readonly LayerScheme[] => {
    const entries: LayerScheme[] = [];
    for (const part of list.split(",")) {
      const [, first, last = first, name = ""] = /^\s*(\d+)(?:-(\d+))?=(.*?)\s*$/.exec(part) ?? [];
      const scheme = targetScheme().safeParse(name);
      const layers = { first: Number(first), last: Number(last) };
      if (!(layers.first <= layers.last && layers.last <= MAX_LAYER) || !scheme.success) {
        const expected = "expected LAYERS=SCHEME,... such as 0-3=w_mxfp6_e2m3";
        const reason = first === undefined || scheme.success ? null : scheme.error.issues[0]!;
        context.addIssue(
          reason === null ? { code: "custom", message: expected } : ofPart(reason, `${expected}: ${reason.message}`),
        );
        return z.NEVER;
      }
      const before = entries.find((other) => other.first <= layers.last && layers.first <= other.last);
      if (before !== undefined) {
        const twice = Math.max(before.first, layers.first);
        context.addIssue({ code: "custom", message: `expected each layer once, and layer ${twice} is named twice` });
        return z.NEVER;
      }
      entries.push({ ...layers, scheme: scheme.data });
    }
    return entries;
  });
}

const OPTIONS = {
  ...MODEL_OPTIONS,
  scheme: option(
    "NAME",
    targetScheme(),
    "quantization scheme of the experts, for instance w_mxfp4_a_fp8; not bf16, which quantizes nothing and would be " +
      "four times as large: other commands convert to it while they load (--scheme bf16)",
  ),
  layers: option(
    "LIST",
    layerSchemes().optional(),
    "other schemes for the experts of some layers, for instance 0-3=w_mxfp6_e2m3,11=fp8",
  ),
  attention: option(
    "NAME",
    targetScheme().optional(),
    "quantization scheme of q_proj, k_proj, v_proj and o_proj, for instance fp8 (default: as they are stored)",
  ),
  "kv-cache-dtype": {
    ...FORMAT_OPTIONS["kv-cache-dtype"],
    help: "number format of cached keys and values that the checkpoint shall ask for; auto: as it does now",
  },
  calibrate: option(
    "F",
    text("a file").optional(),
    "measure scales of static FP8 inputs and of an FP8 cache on this text or these problems (.jsonl)",
  ),
  "calibrate-tokens": option(
    "N",
    integer(1).optional(),
    `tokens of that file at most (default: ${CALIBRATION_TOKENS})`,
  ),
  out: option("DIR", text("a directory to write"), "directory to write: new, empty, or of an interrupted run"),
  "shard-size": shardSize(),
  threads: COMPUTE_OPTIONS.threads,
  weights: COMPUTE_OPTIONS.weights,
};

/** Writes a quantized checkpoint. */
export const QUANTIZE: CommandSpec<typeof OPTIONS> = {
  name: "quantize",
  summary: "write a checkpoint in a quantization scheme, in the layout of AMD Quark's exports",
  positional: null,
  options: OPTIONS,
  examples: [
    {
      line: "mxoss quantize --model openai/gpt-oss-20b --scheme w_mxfp4_a_mxfp4 --out quantized",
      does: "writes a checkpoint in a scheme",
    },
    {
      line: "mxoss quantize --scheme w_mxfp6_e2m3 --layers 0-1=fp8 --calibrate text.txt --out quantized",
      does: "another scheme for some layers, and static scales measured on a text",
    },
  ],
  notes: [
    "Accuracy hardly separates schemes: choose by KL divergence and error per layer, which mxoss eval and mxoss " +
    "compare measure.",
    "Weights become the scheme's by the rule that Quark has for them: MX blocks of 32 by the largest magnitude " +
    "(scale rule even), FP8 by the largest magnitude of the tensor or row / 448, in float32. Weights that are stored " +
    "in that format already are copied, and so is FP8 of MI300's kind (e4m3fnuz). Embeddings, norms, biases, the " +
    "router and the head stay as they are.",
    "Static scales are the largest magnitude / 448 that the model, with inputs as they are, shows on the text of " +
    "--calibrate: every expert has its own, from the tokens that chose it. Scales that the checkpoint has stay " +
    "without --calibrate, and with it those of copied attention. Keys are measured after the rotary embedding, where " +
    "they are cached.",
    "Files are written under temporary names and renamed when they are whole, config.json last. An interrupted run " +
    "goes on when it is started again with the same arguments.",
  ],
};
