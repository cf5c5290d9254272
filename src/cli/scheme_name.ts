/** The name of a quantization scheme as an option's value. */
import { z } from "zod";
import { InputError } from "../errors.ts";
import { parseScheme, SCHEME_NAMES, type SchemeName } from "../plan/scheme.ts";
import { ofPart, sayingGot } from "./options.ts";
import { COMMAND_LINE } from "./spelling.ts";
import { withWords } from "./values.ts";

/**
 * Schema of the name of a scheme; names that other tools use are explained.
 *
 * @param known Names that a refusal lists. The name of another scheme is taken: its user refuses it, and says why.
 */
export function schemeName(known: readonly string[] = SCHEME_NAMES) {
  const schema = z.string().transform((name, context): SchemeName => {
    try {
      return parseScheme(name, known).name;
    } catch (thrown) {
      if (!(thrown instanceof InputError)) throw thrown;
      const message = thrown.complaint(COMMAND_LINE);
      context.addIssue(thrown.got === null ? { code: "custom", message } : sayingGot(message));
      return z.NEVER;
    }
  });
  return withWords(schema, known);
}

/**
 * Schema of the name of a scheme, or of a word that stands for none.
 *
 * @param word Is taken as it is, and listed before the names.
 */
export function schemeNameOr<W extends string>(word: W) {
  const known = [word, ...SCHEME_NAMES], name = schemeName(known);
  const schema = z.string().transform((given, context): W | SchemeName => {
    if (given === word) return word;
    const parsed = name.safeParse(given);
    if (parsed.success) return parsed.data;
    context.addIssue(ofPart(parsed.error.issues[0]!));
    return z.NEVER;
  });
  return withWords(schema, known);
}
