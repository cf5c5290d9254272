/** Values of a GGUF file's metadata by key and kind. */
import { printable, show } from "../../describe.ts";
import { InputError } from "../../errors.ts";
import type { GgufNumber, GgufValue } from "../../checkpoint/gguf/cursor.ts";

const isNumber = (value: GgufValue | undefined): value is GgufNumber =>
  typeof value === "object" && "isInteger" in value;

/** The metadata of a model, which remembers what was asked for. */
export class Metadata {
  readonly #values: ReadonlyMap<string, GgufValue>;
  readonly #asked = new Set<string>();

  /** @param path What messages begin with. */
  constructor(values: ReadonlyMap<string, GgufValue>, readonly path: string) {
    this.#values = values;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** @throws {InputError} as the others, where it is there and of another kind. */
  text(key: string): string | null {
    const value = this.#find(key);
    return value === undefined || typeof value === "string" ? value ?? null : this.refuse(key, "a text");
  }

  flag(key: string): boolean | null {
    const value = this.#find(key);
    return value === undefined || typeof value === "boolean" ? value ?? null : this.refuse(key, "true or false");
  }

  integer(key: string): number | null {
    const value = this.#find(key);
    if (value === undefined) return null;
    return isNumber(value) && value.isInteger ? value.value : this.refuse(key, "an integer");
  }

  /** A number; of a float32 the shortest decimal that is rounded to it, as the file was made from one. */
  real(key: string): number | null {
    const value = this.#find(key);
    if (value === undefined) return null;
    if (!isNumber(value) || !Number.isFinite(value.value)) return this.refuse(key, "a finite number");
    return value.isInteger ? value.value : shortest(value.value);
  }

  texts(key: string): readonly string[] | null {
    const value = this.#find(key);
    if (value === undefined) return null;
    if (!Array.isArray(value) || value.some((one) => typeof one !== "string")) this.refuse(key, "a list of texts");
    return value as readonly string[];
  }

  integers(key: string): readonly number[] | null {
    const value = this.#find(key);
    if (value === undefined) return null;
    const isList = Array.isArray(value) && value.every((one) => isNumber(one) && one.isInteger);
    return isList ? (value as readonly GgufNumber[]).map(({ value }) => value) : this.refuse(key, "a list of integers");
  }

  /** What a key has, or an error that it is missing. */
  required<T>(key: string, value: T | null, expected: string): T {
    return value ?? this.refuse(key, expected);
  }

  /** Refuses a key for its value. */
  refuse(key: string, expected: string): never {
    const value = this.#values.get(key), subject = { file: this.path, key: printable(key) };
    if (value === undefined) throw InputError.of("missing", subject, expected, "nothing");
    const got = isNumber(value) ? String(value.value) : Array.isArray(value) ? "a list" : show(value);
    throw InputError.of("wrong_value", subject, expected, got);
  }

  /** Keys that begin so and that nothing has asked for. */
  unread(prefix: string): string[] {
    return [...this.#values.keys()].filter((key) => key.startsWith(prefix) && !this.#asked.has(key));
  }

  #find(key: string): GgufValue | undefined {
    this.#asked.add(key);
    return this.#values.get(key);
  }
}

/** Most digits that a float32 needs. */
const FLOAT32_DIGITS = 9;

/** The shortest decimal of a float32; a float64 that is none stays as it is. */
function shortest(value: number): number {
  for (let digits = 1; digits <= FLOAT32_DIGITS && Math.fround(value) === value; digits++) {
    const decimal = Number(value.toPrecision(digits));
    if (Math.fround(decimal) === value) return decimal;
  }
  return value;
}
