/** Where things lie in a buffer that is allocated once all of them are known. */

/** A part of a buffer: `bytes` bytes from byte `offset`. */
export interface Region {
  readonly offset: number;
  readonly bytes: number;
}

/** Collects regions of one buffer, one after the other, each at a multiple of 256 bytes. */
export class Layout {
  /** Bytes of the buffer so far. */
  bytes = 0;

  /** @param count Numbers of 4 bytes. */
  words(count: number): Region {
    return this.region(4 * count);
  }

  region(bytes: number): Region {
    const region = { offset: this.bytes, bytes };
    this.bytes = Math.ceil((this.bytes + Math.max(bytes, 4)) / 256) * 256;
    return region;
  }
}

/** Elements from one row of activations to the next: whole blocks of MX formats, and 16-byte aligned rows. */
export const strideOf = (width: number) => Math.max(32, Math.ceil(width / 32) * 32);
