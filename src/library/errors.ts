/**
 * What the library throws: {@linkcode InputError} for a mistake in what it was given, {@linkcode FailureError} for a
 * failure of the machine. A `RangeError` or a `TypeError` says that the call itself is wrong; anything else is a defect
 * of the library.
 *
 * @module
 */
export { FailureError, InputError } from "../errors.ts";
export type { Mistake, MistakeCode, Subject } from "../errors.ts";
export type { CommandName, OptionName, Piece, Spelling, Text } from "../words.ts";
