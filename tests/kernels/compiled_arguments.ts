/**
 * What a compiled object says of the arguments of its entry points: PTX in text, AMD code objects in an ELF note of
 * MessagePack.
 */

/** One argument as the object has it, in bytes. */
export interface CompiledArgument {
  /** From the start of the argument segment; null in PTX, which leaves the layout to the driver. */
  readonly offset: number | null;
  readonly bytes: number;
  /** Null where the object does not say: in AMD's metadata. */
  readonly alignment: number | null;
  /** Whether it is a pointer to device memory; null in PTX, which has numbers only. */
  readonly pointer: boolean | null;
}

/** Arguments by entry point. */
export type CompiledArguments = ReadonlyMap<string, readonly CompiledArgument[]>;

/** Bytes of the number types of PTX parameters. */
const PTX_BYTES: Readonly<Record<string, number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  s32: 4,
  b32: 4,
  f32: 4,
  u64: 8,
  s64: 8,
  b64: 8,
};

/** The parameters of every `.entry` of PTX. */
export function ptxArguments(text: string): CompiledArguments {
  const entries = text.matchAll(/\.visible \.entry (\w+)\(([^)]*)\)/g);
  return new Map(Array.from(entries, ([, name, list]) => {
    const parameters = list!.split(",").map((one) => one.trim()).filter((one) => one !== "");
    return [name!, parameters.map((parameter) => ptxArgument(parameter))];
  }));
}

function ptxArgument(parameter: string): CompiledArgument {
  const struct = /^\.param \.align (\d+) \.b8 \w+\[(\d+)\]$/.exec(parameter);
  const nothing = { offset: null, pointer: null };
  if (struct) return { ...nothing, bytes: Number(struct[2]), alignment: Number(struct[1]) };
  const number = /^\.param \.(\w+) (?:\.ptr (?:\.\w+ )*(?:\.align \d+ )?)?\w+$/.exec(parameter);
  const bytes = PTX_BYTES[number?.[1] ?? ""];
  if (bytes === undefined) throw new Error(`PTX parameter "${parameter}": expected a number or an array of bytes`);
  return { ...nothing, bytes, alignment: bytes };
}

const SHT_NOTE = 7, NT_AMDGPU_METADATA = 32;

/** The arguments of every kernel of an AMD code object, without those that the driver adds. */
export function codeObjectArguments(elf: Uint8Array<ArrayBuffer>): CompiledArguments {
  const metadata = amdMetadata(elf) as { readonly "amdhsa.kernels": readonly AmdKernel[] };
  return new Map(metadata["amdhsa.kernels"].map((kernel) => [
    kernel[".name"],
    kernel[".args"].filter((argument) => !argument[".value_kind"].startsWith("hidden_")).map((argument) => ({
      offset: argument[".offset"],
      bytes: argument[".size"],
      alignment: null,
      pointer: argument[".value_kind"] === "global_buffer",
    })),
  ]));
}

interface AmdKernel {
  readonly ".name": string;
  readonly ".args": readonly { readonly ".offset": number; readonly ".size": number; readonly ".value_kind": string }[];
}

/** The MessagePack in the note of AMD's name and type. */
function amdMetadata(elf: Uint8Array<ArrayBuffer>): unknown {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  const table = Number(view.getBigUint64(0x28, true)),
    size = view.getUint16(0x3a, true),
    count = view.getUint16(0x3c, true);
  for (let i = 0; i < count; i++) {
    const section = table + i * size;
    if (view.getUint32(section + 4, true) !== SHT_NOTE) continue;
    const note = Number(view.getBigUint64(section + 0x18, true));
    const nameBytes = view.getUint32(note, true), bytes = view.getUint32(note + 4, true);
    const name = new TextDecoder().decode(elf.subarray(note + 12, note + 12 + nameBytes));
    if (view.getUint32(note + 8, true) !== NT_AMDGPU_METADATA || name !== "AMDGPU\0") continue;
    const start = note + 12 + Math.ceil(nameBytes / 4) * 4;
    return new MessagePack(elf.subarray(start, start + bytes)).value();
  }
  throw new Error("code object: no note of AMD's metadata");
}

/** Reads the part of MessagePack that the metadata uses: maps, arrays, strings, booleans, whole numbers from 0. */
class MessagePack {
  readonly #view: DataView;
  #at = 0;

  constructor(readonly bytes: Uint8Array<ArrayBuffer>) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(): unknown {
    const tag = this.#number(1);
    if (tag < 0x80) return tag;
    if (tag < 0x90) return this.#map(tag & 0x0f);
    if (tag < 0xa0) return this.#array(tag & 0x0f);
    if (tag < 0xc0) return this.#string(tag & 0x1f);
    switch (tag) {
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xcc:
        return this.#number(1);
      case 0xcd:
        return this.#number(2);
      case 0xce:
        return this.#number(4);
      case 0xd9:
        return this.#string(this.#number(1));
      case 0xda:
        return this.#string(this.#number(2));
      case 0xdc:
        return this.#array(this.#number(2));
      case 0xde:
        return this.#map(this.#number(2));
    }
    throw new Error(`MessagePack: tag 0x${tag.toString(16)} at byte ${this.#at - 1} is not read here`);
  }

  #number(bytes: 1 | 2 | 4): number {
    const at = this.#at;
    this.#at += bytes;
    if (bytes === 1) return this.#view.getUint8(at);
    return bytes === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #string(bytes: number): string {
    this.#at += bytes;
    return new TextDecoder().decode(this.bytes.subarray(this.#at - bytes, this.#at));
  }

  #array(length: number): unknown[] {
    return Array.from({ length }, () => this.value());
  }

  #map(length: number): Record<string, unknown> {
    return Object.fromEntries(Array.from({ length }, () => [this.value(), this.value()]));
  }
}
