/** The options of `mxoss convert`. */
import { type CommandSpec, option, text } from "./options.ts";
import { shardSize } from "./shard_size.ts";

const OPTIONS = {
  gguf: option("FILE", text("a GGUF file"), "a GGUF file of gpt-oss, or any one of those that a model was split into"),
  out: option("DIR", text("a directory to write"), "directory to write: new, empty, or of an interrupted run"),
  "shard-size": shardSize(),
};

/** Writes a checkpoint from a GGUF file. */
export const CONVERT: CommandSpec<typeof OPTIONS> = {
  name: "convert",
  summary: "write a checkpoint from a GGUF file, number for number",
  positional: null,
  options: OPTIONS,
  examples: [
    {
      line: "mxoss convert --gguf gpt-oss-20b-mxfp4.gguf --out converted",
      does: "makes a checkpoint of a GGUF file, in one of Hugging Face's layouts",
    },
  ],
  notes: [
    "Of experts in MXFP4 codes and scales are moved, not computed. Fine-tuned models have experts that are stored as " +
    "all else is: they are transposed into the layout without quantization, and mxoss quantize makes them MXFP4. " +
    "What is float32 becomes bfloat16 where that holds all numbers of a tensor of at most 64 MiB, and stays so " +
    "otherwise. Q8_0, which has lost digits of the model's bfloat16, becomes float32, which holds it exactly. " +
    "Other types are refused, and experts of which some are MXFP4 alone.",
    "The vocabulary becomes a tokenizer.json that cuts text as o200k does, and the chat template a file of its own. " +
    "What GGUF has no key for is what every gpt-oss has: windows in every second layer, YaRN whose bounds are not " +
    "rounded, a limit of 7 in SwiGLU.",
    "Files are written under temporary names and renamed when they are whole, config.json last. An interrupted run " +
    "goes on when it is started again with the same arguments.",
  ],
};
