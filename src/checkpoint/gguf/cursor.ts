/** Reads the head of a GGUF file from front to end; nothing of it is trusted to be true. */
import { InputError } from "../../errors.ts";

/** Longest text of a value, in bytes; chat templates have some ten thousand. */
const MAX_TEXT = 1 << 24;
/** Longest list; vocabularies have 201,088 tokens and 446,189 merges. */
const MAX_LIST = 1 << 22;

/** Ids of the types of values in a file. */
const UINT8 = 0, INT8 = 1, UINT16 = 2, INT16 = 3, UINT32 = 4, INT32 = 5, FLOAT32 = 6, BOOL = 7, STRING = 8, ARRAY = 9;
const UINT64 = 10, INT64 = 11, FLOAT64 = 12;

/** A value of the metadata. */
export type GgufValue = boolean | string | GgufNumber | readonly GgufValue[];

/** A number: an integer of magnitude below 2^53, or one that was stored as a float. */
export interface GgufNumber {
  readonly value: number;
  readonly isInteger: boolean;
}

/** Says that the bytes at hand end before what is read. */
export class Short extends Error {}

/** A place in the head of a file. */
export class Cursor {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #path: string;
  #at = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>, path: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#path = path;
  }

  /** Bytes that were read. */
  get at(): number {
    return this.#at;
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A size or a count. */
  count(what: string, most: number): number {
    const value = this.#view.getBigUint64(this.#take(8), true);
    if (value > BigInt(most)) this.fail(what, `at most ${most}`, value.toString());
    return Number(value);
  }

  text(what: string): string {
    const length = this.count(`length of ${what}`, MAX_TEXT), from = this.#take(length);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
        this.#bytes.subarray(from, from + length),
      );
    } catch {
      return this.fail(what, "UTF-8", "other bytes");
    }
  }

  /** A value with its type before it. */
  value(what: string): GgufValue {
    return this.#valueOf(this.u32(), what, true);
  }

  #valueOf(type: number, what: string, mayBeList: boolean): GgufValue {
    const whole = (value: number): GgufNumber => ({ value, isInteger: true });
    const real = (value: number): GgufNumber => ({ value, isInteger: false });
    const view = this.#view;
    switch (type) {
      case UINT8:
        return whole(view.getUint8(this.#take(1)));
      case INT8:
        return whole(view.getInt8(this.#take(1)));
      case UINT16:
        return whole(view.getUint16(this.#take(2), true));
      case INT16:
        return whole(view.getInt16(this.#take(2), true));
      case UINT32:
        return whole(view.getUint32(this.#take(4), true));
      case INT32:
        return whole(view.getInt32(this.#take(4), true));
      case FLOAT32:
        return real(view.getFloat32(this.#take(4), true));
      case FLOAT64:
        return real(view.getFloat64(this.#take(8), true));
      case UINT64:
        return whole(this.count(what, Number.MAX_SAFE_INTEGER));
      case INT64:
        return whole(this.#signed(what));
      case BOOL: {
        const byte = view.getUint8(this.#take(1));
        return byte > 1 ? this.fail(what, "0 or 1", byte) : byte === 1;
      }
      case STRING:
        return this.text(what);
      case ARRAY:
        if (mayBeList) return this.#list(what);
        return this.fail(what, "a list of plain values", "a list of lists");
      default:
        return this.fail(what, "a type of value, 0 to 12", type);
    }
  }

  #signed(what: string): number {
    const value = Number(this.#view.getBigInt64(this.#take(8), true));
    return Number.isSafeInteger(value) ? value : this.fail(what, "an integer below 2^53", value);
  }

  #list(what: string): GgufValue[] {
    const type = this.u32(), length = this.count(`length of ${what}`, MAX_LIST);
    const values: GgufValue[] = [];
    for (let i = 0; i < length; i++) values.push(this.#valueOf(type, what, false));
    return values;
  }

  /** Refuses the file. */
  fail(what: string, expected: string, got: string | number): never {
    throw InputError.of("malformed", { file: this.#path, name: what }, expected, got);
  }

  #take(bytes: number): number {
    const from = this.#at;
    if (from + bytes > this.#bytes.length) throw new Short();
    this.#at += bytes;
    return from;
  }
}
