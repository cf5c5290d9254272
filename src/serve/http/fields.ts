/**
 * Fields of requests that this server does nothing with. What clients send and what changes no reply is taken and left
 * aside; what would change the reply, and is not done, is refused by name unless it has the value that changes nothing.
 */
import { z } from "zod";

/** Fields that change no reply, whatever they hold. */
export function ignored<const N extends string>(...names: readonly N[]): Record<N, z.ZodType<unknown>> {
  const fields: Partial<Record<N, z.ZodType<unknown>>> = {};
  for (const name of names) fields[name] = z.unknown().optional();
  return fields as Record<N, z.ZodType<unknown>>;
}

/** A field that is taken at one value only, or null: at that it changes nothing, and anything else is not done. */
export function only<const T extends number | boolean | string>(value: T): z.ZodType<T | null | undefined> {
  const literal = JSON.stringify(value);
  return z.unknown().optional().refine((given) => given == null || given === value, {
    error: `is not supported; expected ${literal}, or none`,
  }) as unknown as z.ZodType<T | null | undefined>;
}

/**
 * A field that is refused unless it is null, an empty text, list or object.
 *
 * @param error What is said then.
 */
export function unsupported(error = "is not supported"): z.ZodType<unknown> {
  return z.unknown().optional().refine(
    (given) => given == null || given === "" || (typeof given === "object" && Object.keys(given).length === 0),
    { error },
  );
}
