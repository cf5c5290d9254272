/** Who reads what in a list of operations. */
import { type NormReader, type Operation, reads, writes } from "./operations.ts";
import type { GpuTensor } from "./tensors.ts";

export class Flow {
  /** @param seen Whether a tensor is read after the last operation. */
  constructor(readonly operations: readonly Operation[], readonly seen: (tensor: GpuTensor) => boolean) {}

  /** Whether nobody reads the contents that `tensor` has after operation `index`. */
  dead(tensor: GpuTensor, index: number): boolean {
    const { readers, others } = this.readersAfter(index, tensor);
    return readers.length === 0 && !others;
  }

  /**
   * Linears and experts that read a tensor after operation `index`, as long as it is not written again, and whether
   * others do.
   */
  readersAfter(
    index: number,
    tensor: GpuTensor,
  ): { readonly readers: readonly NormReader[]; readonly others: boolean } {
    const readers: NormReader[] = [];
    let others = false, written = false;
    for (const o of this.operations.slice(index + 1)) {
      if (reads(o).includes(tensor)) {
        if (o.kind === "linear") readers.push({ linears: o.linears });
        else if (o.kind === "expertGateUp") readers.push({ experts: o.experts });
        else others = true;
      }
      written = writes(o).includes(tensor);
      if (written) break;
    }
    return { readers, others: others || !written && this.seen(tensor) };
  }

  /** The tensor that the operation after `index` adds `y` to, if `y` is read nowhere else. */
  sumAfter(index: number, y: GpuTensor): GpuTensor | null {
    const add = this.operations[index + 1];
    return add?.kind === "add" && add.y === y && add.h !== y && this.dead(y, index + 1) ? add.h : null;
  }
}
