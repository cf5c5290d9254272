/** GGUF files by hand, well-formed or not, without the code under test. */

/** A value with the id of its type: 4 uint32, 6 float32, 7 bool, 8 string, 9 a list, 10 uint64, 11 int64. */
export type Value =
  | readonly [type: 4 | 5 | 6 | 7 | 10 | 11, value: number]
  | readonly [type: 8, value: string]
  | readonly [type: 9, of: 4 | 5 | 8 | 9, values: readonly (number | string)[]];

/** A tensor: sizes the innermost first, as the file has them. */
export interface Tensor {
  readonly name: string;
  readonly sizes: readonly number[];
  readonly type: number;
  readonly offset: number;
}

/** Parts of a file that a test changes. */
export interface Parts {
  readonly magic?: string;
  readonly version?: number;
  readonly values?: readonly (readonly [key: string, value: Value])[];
  readonly tensors?: readonly Tensor[];
  /** Bytes of data after the header. */
  readonly data?: number;
  readonly alignment?: number;
  readonly counts?: readonly [tensors: bigint, values: bigint];
}

/** Bytes of a file. */
export function gguf(parts: Parts): Uint8Array<ArrayBuffer> {
  const { magic = "GGUF", version = 3, values = [], tensors = [], data = 0, alignment = 32 } = parts;
  const bytes: number[] = [...new TextEncoder().encode(magic)];
  const u32 = (value: number) => bytes.push(...new Uint8Array(Uint32Array.of(value).buffer));
  const u64 = (value: bigint | number) => bytes.push(...new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  const text = (value: string) => {
    const encoded = new TextEncoder().encode(value);
    u64(encoded.length);
    bytes.push(...encoded);
  };
  const plain = (type: number, value: number | string) => {
    if (typeof value === "string") text(value);
    else if (type === 6) bytes.push(...new Uint8Array(Float32Array.of(value).buffer));
    else if (type === 7) bytes.push(value);
    else if (type === 10) u64(value);
    else if (type === 11) bytes.push(...new Uint8Array(BigInt64Array.of(BigInt(value)).buffer));
    else u32(value);
  };
  u32(version);
  const [tensorCount, valueCount] = parts.counts ?? [BigInt(tensors.length), BigInt(values.length)];
  u64(tensorCount);
  u64(valueCount);
  for (const [key, value] of values) {
    text(key);
    u32(value[0]);
    if (value[0] !== 9) plain(value[0], value[1]);
    else {
      u32(value[1]);
      u64(value[2].length);
      value[2].forEach((one) => plain(value[1], one));
    }
  }
  for (const { name, sizes, type, offset } of tensors) {
    text(name);
    u32(sizes.length);
    sizes.forEach(u64);
    u32(type);
    u64(offset);
  }
  while (bytes.length % alignment !== 0) bytes.push(0);
  return Uint8Array.from([...bytes, ...new Uint8Array(data)]);
}
