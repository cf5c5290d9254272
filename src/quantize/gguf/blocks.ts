/** Numbers of GGUF files in the layouts of safetensors checkpoints, all exact. */
import { MXFP4_BYTES, Q8_0_BYTES } from "../../checkpoint/gguf/types.ts";
import { BLOCK } from "../../formats/format.ts";

/** Bytes of the codes of a block. */
export const CODE_BYTES = BLOCK / 2;

const NAN_SCALE = 0xff;

/**
 * Takes MXFP4 blocks apart. In a file the low halves of 16 bytes are codes 0 to 15 and the high ones codes 16 to 31;
 * here each byte has two neighbours, the first one low.
 *
 * @param from Blocks, 17 bytes each.
 * @param codes Gets 16 bytes for each block, from `codesAt` on.
 * @param scales Gets a byte for each block, from `scalesAt` on.
 * @returns Number of the first block whose scale is NaN; -1 if none is.
 */
export function splitBlocks(
  from: Uint8Array,
  codes: Uint8Array,
  codesAt: number,
  scales: Uint8Array,
  scalesAt: number,
): number {
  const blocks = from.length / MXFP4_BYTES;
  let nan = -1;
  for (let block = 0, at = 0, to = codesAt; block < blocks; block++, to += CODE_BYTES) {
    const scale = from[at++]!;
    if (scale === NAN_SCALE && nan < 0) nan = block;
    scales[scalesAt + block] = scale;
    for (let i = 0; i < CODE_BYTES / 2; i++, at += 2) {
      const first = from[at]!, second = from[at + 1]!;
      codes[to + i] = (first & 15) | ((second & 15) << 4);
      codes[to + CODE_BYTES / 2 + i] = (first >> 4) | (second & 0xf0);
    }
  }
  return nan;
}

/**
 * Numbers of Q8_0 blocks: a float16 times a signed byte has at most 18 significant bits, so that float32 holds it.
 *
 * @param from Blocks, 34 bytes each.
 * @returns null where one is not finite.
 */
export function decodeQ8(from: Uint8Array): Float32Array<ArrayBuffer> | null {
  const view = new DataView(from.buffer, from.byteOffset, from.byteLength), blocks = from.length / Q8_0_BYTES;
  const numbers = new Float32Array(blocks * BLOCK);
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += Q8_0_BYTES) {
    const unit = view.getFloat16(at, true);
    if (!Number.isFinite(unit)) return null;
    for (let i = 0; i < BLOCK; i++) numbers[to++] = unit * view.getInt8(at + 2 + i);
  }
  return numbers;
}

/** Whether bfloat16 holds float32 numbers as they are, given as words. */
export function fitBf16(words: Uint32Array): boolean {
  for (let i = 0; i < words.length; i++) if ((words[i]! & 0xffff) !== 0) return false;
  return true;
}

/** The upper halves of float32 numbers, which are bfloat16. */
export function upperHalves(words: Uint32Array): Uint16Array<ArrayBuffer> {
  const halves = new Uint16Array(words.length);
  for (let i = 0; i < words.length; i++) halves[i] = words[i]! >>> 16;
  return halves;
}
