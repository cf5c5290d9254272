/**
 * The parts of tokenizer.json that cut text before BPE: of known kinds, with values of the right types, and of linear
 * time.
 */
import * as z from "zod";
import { validate } from "../validate.ts";
import { show } from "../describe.ts";
import { InputError } from "../errors.ts";
import { foldedPattern } from "./fold_unicode.ts";
import { whyNotLinear } from "./split_pattern.ts";
import { isObject } from "../json_object.ts";

/** Parts in one list, and lists in a list. */
const MAX_PARTS = 16, MAX_DEPTH = 4;

const flag = z.boolean({ error: "true or false" }).nullish();
const none = z.literal([null, ""], { error: "none: the alphabet is that of bytes" }).optional();
const parts = z.array(z.unknown(), { error: "a list" }).max(MAX_PARTS, { error: `at most ${MAX_PARTS} parts` });
const typed = z.looseObject({ type: z.string({ error: "a name" }) }, { error: "an object with a type" });

/**
 * Normalizers by type. Those that put texts of their own in are not among them: several of them can make a text of any
 * length.
 */
const NORMALIZERS: Readonly<Record<string, z.ZodType>> = {
  NFC: typed,
  NFD: typed,
  NFKC: typed,
  NFKD: typed,
  Lowercase: typed,
  StripAccents: typed,
  Strip: z.looseObject({ strip_left: flag, strip_right: flag }),
  Sequence: z.looseObject({ normalizers: parts }),
};

const Pattern = z.union([
  z.looseObject({ Regex: z.string().min(1) }),
  z.looseObject({ String: z.string().min(1) }),
], { error: "an object with Regex or String, a text" });

/** Pre-tokenizers by type. */
const PRE_TOKENIZERS: Readonly<Record<string, z.ZodType>> = {
  ByteLevel: z.looseObject({ add_prefix_space: flag, trim_offsets: flag, use_regex: flag }),
  Digits: z.looseObject({ individual_digits: flag }),
  Split: z.looseObject({
    pattern: Pattern,
    behavior: z.literal(["Isolated", "Removed"], { error: "Isolated or Removed" }),
    invert: flag,
  }),
  Sequence: z.looseObject({ pretokenizers: parts }),
};

/** The values of the model, besides vocabulary and merges, that change what BPE does. */
const Model = z.looseObject({
  unk_token: z.string({ error: "a token or null" }).nullish(),
  continuing_subword_prefix: none,
  continuing_subword_suffix: none,
  end_of_word_suffix: none,
  fuse_unk: flag,
  byte_fallback: flag,
  ignore_merges: flag,
  // Merges left out at random.
  dropout: z.literal([null, 0], { error: "none" }).optional(),
});

/**
 * Checks the parts.
 *
 * @param path Of tokenizer.json, for messages.
 * @param json The file, whose `model` is an object.
 * @throws {InputError} naming the part that is of an unknown kind or a wrong type, or whose pattern is not known to
 *   take linear time.
 */
export function checkParts(path: string, json: { readonly [key: string]: unknown }): void {
  const { vocab: _vocab, merges: _merges, ...model } = json["model"] as Record<string, unknown>;
  validate(Model, model, `${path}: model`);
  checkPart(`${path}: normalizer`, json["normalizer"] ?? null, NORMALIZERS, "normalizers");
  checkPart(`${path}: pre_tokenizer`, json["pre_tokenizer"] ?? null, PRE_TOKENIZERS, "pretokenizers");
  checkPart(`${path}: post_processor`, json["post_processor"] ?? null, POST_PROCESSORS, "processors");
  const decoder = json["decoder"] ?? null;
  if (decoder !== null) {
    validate(z.looseObject({ type: z.literal("ByteLevel", { error: "ByteLevel" }) }), decoder, `${path}: decoder`);
  }
}

/** Whether a pre-tokenizer puts a blank in front of a text. */
export function addsPrefixSpace(preTokenizer: unknown): boolean {
  if (!isObject(preTokenizer)) return false;
  const { type, add_prefix_space: adds, pretokenizers: parts } = preTokenizer;
  if (type === "ByteLevel" && adds === true) return true;
  return Array.isArray(parts) && parts.some(addsPrefixSpace);
}

/** Whether a pre-tokenizer puts something into texts, or leaves out what a pattern finds in them, or all else. */
export function changesTexts(preTokenizer: unknown): boolean {
  if (!isObject(preTokenizer)) return false;
  const { behavior, pretokenizers: parts } = preTokenizer;
  if (addsPrefixSpace(preTokenizer) || behavior === "Removed") return true;
  return Array.isArray(parts) && parts.some(changesTexts);
}

function checkPart(
  where: string,
  part: unknown,
  kinds: Readonly<Record<string, z.ZodType>>,
  list: string,
  depth = 0,
): void {
  if (part === null) return;
  const values = validate(typed, part, where);
  if (!Object.hasOwn(kinds, values.type)) {
    const expected = z.literal(Object.keys(kinds), { error: Object.keys(kinds).join(" or ") });
    validate(z.looseObject({ type: expected }), part, where);
  }
  validate(kinds[values.type]!, part, where);
  if (values.type === "Split") checkPattern(`${where}.pattern.Regex`, (values["pattern"] as { Regex?: unknown }).Regex);
  if (values.type !== "Sequence") return;
  if (depth === MAX_DEPTH) {
    throw InputError.of("wrong_value", { name: where }, `lists of up to ${MAX_DEPTH} within each other`);
  }
  for (const [i, inner] of (values[list] as unknown[]).entries()) {
    checkPart(`${where}.${list}.${i}`, inner, kinds, list, depth + 1);
  }
}

function checkPattern(where: string, pattern: unknown): void {
  if (typeof pattern !== "string") return;
  const why = whyNotLinear(pattern);
  if (why !== null) {
    throw InputError.of("wrong_value", { name: where }, `a pattern that takes linear time by its form, but it ${why}`);
  }
  if (foldedPattern(pattern) !== null) return;
  const expected = "(?i:...) of letters of ASCII, no two of which another letter folds to (ss, ff, fi, fl, st)";
  throw InputError.of("unsupported", { name: where }, expected, show(pattern));
}

const POST = { error: "ByteLevel, or one that adds no tokens: none are added to a text here" };
const NO_SPECIALS = z.array(z.strictObject({ Sequence: z.unknown() }), POST);
/** What adds tokens to those of a text, by type. */
const POST_PROCESSORS: Readonly<Record<string, z.ZodType>> = {
  ByteLevel: typed,
  TemplateProcessing: z.looseObject({ single: NO_SPECIALS }, POST),
  Sequence: z.looseObject({ processors: parts }),
};

const off = z.literal([false, null], { error: "false" }).optional();
/** The keys of tokenizer_config.json that change which tokens a text becomes. */
const Settings = z.looseObject({
  add_bos_token: off,
  add_eos_token: off,
  // Special tokens in a text that is allowed to have them would be plain text.
  split_special_tokens: off,
});

/**
 * Checks tokenizer_config.json.
 *
 * @param path Its path.
 * @param addsPrefixSpace Whether tokenizer.json puts a blank in front of a text.
 * @throws {InputError} naming the key that asks for other tokens than are made here.
 */
export function checkSettings(
  path: string,
  config: { readonly [key: string]: unknown },
  addsPrefixSpace: boolean,
): void {
  const { add_bos_token, add_eos_token, split_special_tokens, add_prefix_space } = config;
  validate(Settings, { add_bos_token, add_eos_token, split_special_tokens }, path);
  if (add_prefix_space !== true || addsPrefixSpace) return;
  throw InputError.of(
    "contradiction",
    { file: path, key: "add_prefix_space" },
    "false, as the pre_tokenizer of tokenizer.json has it",
    "true",
  );
}
