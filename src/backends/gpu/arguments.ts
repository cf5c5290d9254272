/** Writes the arguments of a launch, and records for device memory, from the signatures of kernels/abi. */
import { type Family, SIGNATURES } from "../../../kernels/abi/signatures.ts";
import type { LaunchValues } from "../../../kernels/abi/signature.ts";
import { elementOf, STRUCTS, type StructType, type StructValue } from "../../../kernels/abi/types.ts";
import type { ArgumentWriter, DeviceRange } from "../../../ffi/runtime.ts";

/** The values that a launch of a family takes, by name. */
export type Values<F extends Family> = LaunchValues<
  (typeof SIGNATURES)[F]["arguments"],
  NonNullable<(typeof SIGNATURES)[F]["sizes"]>[number],
  DeviceRange
>;

/** The value of a by-value struct. */
export type Struct<S extends StructType> = StructValue<S, DeviceRange>;

/** Appends one value of the type that the signature has in its place. */
type Write = (w: ArgumentWriter, value: unknown) => void;

const i32: Write = (w, value) => w.i32(value as number);
const NUMBER_WRITERS: Readonly<Record<string, Write>> = {
  i32,
  format: i32,
  kind: i32,
  rule: i32,
  order: i32,
  i64: (w, value) => w.i64(value as number),
  f32: (w, value) => w.f32(value as number),
  flag: (w, value) => w.i32(value === true ? 1 : 0),
  reserved: (w) => w.i32(0),
};
const pointer: Write = (w, value) => w.pointer(value as DeviceRange | null);

/** Writes what `fields` lists, in order. */
function writeFields(fields: Readonly<Record<string, string>>): Write {
  const all = Object.entries(fields).map(([name, type]) => ({ name, write: memberWriter(type) }));
  return (w, value) => {
    const values = value as Readonly<Record<string, unknown>>;
    for (let i = 0; i < all.length; i++) all[i]!.write(w, values[all[i]!.name]);
  };
}

/** Writes a member of a struct; an array may be given fewer elements than it has, and the others are zeros. */
function memberWriter(type: string): Write {
  const { element, length } = elementOf(type);
  const write = element.includes("*")
    ? pointer
    : NUMBER_WRITERS[element] ?? writeFields(STRUCTS[element as StructType]);
  if (length === 1) return write;
  if (element === "reserved") {
    return (w) => {
      for (let i = 0; i < length; i++) w.i32(0);
    };
  }
  const zero = zeroOf(element);
  return (w, value) => {
    const values = value as readonly unknown[];
    for (let i = 0; i < length; i++) write(w, i < values.length ? values[i] : zero);
  };
}

/** A value whose bytes are zeros. */
function zeroOf(element: string): unknown {
  if (element.includes("*")) return null;
  if (element in NUMBER_WRITERS) return 0;
  return Object.fromEntries(Object.entries(STRUCTS[element as StructType]).map(([name, type]) => [name, zeroOf(type)]));
}

/** Writes an argument of an entry point: a struct is one argument. */
function argumentWriter(type: string): Write {
  const write = memberWriter(type);
  if (!(type in STRUCTS)) return write;
  return (w, value) => {
    w.struct();
    write(w, value);
    w.end();
  };
}

/** Writes all arguments of a family's entry points. */
export function argumentsWriter(family: Family): (w: ArgumentWriter, values: unknown) => void {
  const all = Object.entries(SIGNATURES[family].arguments).map(([name, type]) => ({
    name,
    write: argumentWriter(type),
  }));
  return (w, value) => {
    const values = value as Readonly<Record<string, unknown>>;
    for (let i = 0; i < all.length; i++) all[i]!.write(w, values[all[i]!.name]);
  };
}

const linearRecord = argumentWriter("MxLinear");

/** Adds an `MxLinear` to records for device memory. */
export function writeLinear(w: ArgumentWriter, linear: Struct<"MxLinear">): void {
  linearRecord(w, linear);
}
