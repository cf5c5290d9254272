/** The form of what `results.json` says of a setting: what it computes with and what it costs. */
import { z } from "zod";
import { count, text } from "./schema_fields.ts";

/** What a setting computes with; the part of the protocol that is the setting's own. */
export const SettingProtocol = z.strictObject({
  model: text("directory of the checkpoint, as it was given"),
  snapshot: text("where the directory is a snapshot in a Hugging Face cache: `org/name@commit`").optional(),
  layout: text("layout of the checkpoint"),
  fingerprint: text("SHA-256 of config.json and the safetensors headers"),
  weights_sha256: text("SHA-256 of the weight files, one after the other"),
  scheme: text("quantization scheme of the experts"),
  scale_rule: z.string().nullable().describe(
    "rule by which scales of MX inputs are made on the fly: even, floor or rceil; null where no input is MX",
  ),
  converted_from: z.string().nullable().describe(
    "formats that the experts' weights are stored in and converted from while they are loaded; null where none are",
  ),
  converted_before: text("conversions of the stored weights that config.json names; absent where it names none")
    .optional(),
  formats_sha256: text("SHA-256 of the list of all linears with their weight and input formats"),
  calibrated_on: z.string().nullable().describe(
    "what static input scales were measured on, where the checkpoint has none",
  ),
  backend: text("backend that computed"),
  dtype: text("number format of activations between operations"),
  kv_cache_dtype: text("number format of cached keys and values"),
  tp: count("ranks that share heads, vocabulary and expert columns"),
  ep: count("groups of ranks that share the experts"),
  threads: count("worker threads; no result depends on them"),
}).describe("how a setting computes");
/** What a setting computes with. */
export type SettingProtocol = z.infer<typeof SettingProtocol>;

/** What of it decides about results: neither threads nor the place of the model change an answer. */
export function decisive(protocol: SettingProtocol): Omit<SettingProtocol, "threads" | "model" | "snapshot"> {
  const { threads: _threads, model: _model, snapshot: _snapshot, ...rest } = protocol;
  return rest;
}

/** What a setting costs. */
export const SettingCost = z.strictObject({
  weight_bytes: count("bytes of all weights with their scales, as they are computed"),
  bits_per_weight: z.number().describe("the same in bits, over the number of weights"),
  kv_bytes_per_token: count("bytes of the keys and values of a token, all layers together"),
  active_bytes_per_token: count(
    "bytes of weights that a token needs: all but the experts that it does not choose, and one row of the embedding",
  ),
}).describe("what the setting costs, all ranks together");
/** What a setting costs. */
export type SettingCost = z.infer<typeof SettingCost>;

/** The memory bandwidth that a run was given. */
export const Bandwidth = z.strictObject({
  name: text("as it was given: a device, or a figure"),
  bytes_per_second: z.number().describe("bytes per second"),
}).nullable().describe("memory bandwidth that tokens per second are estimated for; null where none was named");

/** A cell's place on the axes of its matrix. */
export const AskedCell = z.strictObject({
  model: z.string().nullable().describe("what its model is called beside the others; null where there is one only"),
  scheme: z.string().nullable().describe("quantization scheme; null: as the checkpoint is stored"),
  kv_cache_dtype: z.enum(["auto", "bf16", "fp8"]).describe("number format of cached keys and values"),
  tp: count("ranks that share heads, vocabulary and expert columns"),
  ep: count("groups of ranks that share the experts"),
}).describe("what was asked for on each axis of the matrix");
/** A cell's place on the axes of its matrix. */
export type AskedCell = z.infer<typeof AskedCell>;

/** What every results file says of a cell. */
export const CELL_FIELDS = {
  key: text("name of the cell in file names"),
  label: text("what tells it from the others"),
  asked: AskedCell,
  protocol: SettingProtocol,
  cost: SettingCost,
};
