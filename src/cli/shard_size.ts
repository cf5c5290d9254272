/** The option of commands that write weight files: how large one becomes. */
import { z } from "zod";
import { option } from "./options.ts";

/** Size of a weight file when none is given, as Hugging Face's tools cut. */
const SHARD_SIZE = 5e9;

/** The option. */
export function shardSize() {
  return option("SIZE", byteCount().default(SHARD_SIZE), "size of a weight file, as in 5GB or 512MiB");
}

/** Schema of a number of bytes: `5000000000`, `5GB`, `512MiB`. */
function byteCount() {
  return z.string().transform((size, context) => {
    const [, number = "", letter = "", binary] = /^(\d+(?:\.\d+)?) ?(?:([kMGT])(i)?)?B?$/i.exec(size) ?? [];
    const bytes = Number(number) * (binary ? 1024 : 1000) ** " kmgt".indexOf(letter.toLowerCase() || " ");
    // A fraction of a byte is a size whose unit was forgotten.
    const whole = letter !== "" || Number.isInteger(bytes);
    if (number !== "" && whole && bytes >= 1 && bytes <= Number.MAX_SAFE_INTEGER) return Math.floor(bytes);
    context.addIssue({ code: "custom", message: "expected a size such as 5GB, 512MiB or a number of bytes" });
    return z.NEVER;
  });
}
