/** The assertions that tests use: Deno's standard library, typed here because its npm form carries no declarations. */
import { Buffer } from "node:buffer";
import * as std from "@std/assert";

interface Assertions {
  assert(condition: unknown, message?: string): asserts condition;
  assertEquals(actual: unknown, expected: unknown, message?: string): void;
  assertNotEquals(actual: unknown, expected: unknown, message?: string): void;
  assertStrictEquals(actual: unknown, expected: unknown, message?: string): void;
  assertAlmostEquals(actual: number, expected: number, tolerance?: number, message?: string): void;
  assertStringIncludes(actual: string, expected: string, message?: string): void;
  assertMatch(actual: string, expected: RegExp, message?: string): void;
  assertThrows<E extends Error>(
    fn: () => unknown,
    errorClass: new (...args: never[]) => E,
    messageIncludes?: string,
    message?: string,
  ): E;
  assertRejects<E extends Error>(
    fn: () => PromiseLike<unknown>,
    errorClass: new (...args: never[]) => E,
    messageIncludes?: string,
    message?: string,
  ): Promise<E>;
}

const typed = std as unknown as Assertions;

export const assert: Assertions["assert"] = typed.assert;
/** Arrays of numbers with the same bytes are equal; only others are looked at number by number, which takes long. */
export const assertEquals: Assertions["assertEquals"] = (actual, expected, message) => {
  if (!sameBytes(actual, expected)) typed.assertEquals(actual, expected, message);
};
export const assertNotEquals: Assertions["assertNotEquals"] = typed.assertNotEquals;
export const assertStrictEquals: Assertions["assertStrictEquals"] = typed.assertStrictEquals;
export const assertAlmostEquals: Assertions["assertAlmostEquals"] = typed.assertAlmostEquals;
export const assertStringIncludes: Assertions["assertStringIncludes"] = typed.assertStringIncludes;
export const assertMatch: Assertions["assertMatch"] = typed.assertMatch;
export const assertThrows: Assertions["assertThrows"] = typed.assertThrows;
export const assertRejects: Assertions["assertRejects"] = typed.assertRejects;

function sameBytes(a: unknown, b: unknown): boolean {
  if (!isNumbers(a) || !isNumbers(b)) return false;
  if (a.constructor !== b.constructor || a.byteLength !== b.byteLength) return false;
  return bytesOf(a).equals(bytesOf(b));
}

function isNumbers(value: unknown): value is ArrayBufferView & { constructor: unknown } {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => Buffer.from(buffer, byteOffset, byteLength);
