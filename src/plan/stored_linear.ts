/** A linear as the checkpoint stores it: all that a plan needs to know of tensors. */
import type { WeightFormat, WeightScale } from "../formats/format.ts";
export interface StoredLinear {
  /**
   * Its name in Hugging Face's model, whatever the layout calls it; experts by AMD Quark's names, one module each:
   * `model.layers.0.self_attn.q_proj`, `model.layers.0.mlp.router`, `model.layers.0.mlp.experts.3.gate_up_proj`,
   * `lm_head`.
   */
  readonly module: string;
  readonly weight: WeightFormat;
  readonly scale: WeightScale;
  /** Calibrated scale of its input that the checkpoint has, float32; null: none. */
  readonly inputScale: number | null;
  /** Of an expert, whether a module of its own name is stored, not one of all experts; absent: no. */
  readonly isOwnModule?: boolean;
  /** Whether a scale lies beside plain weights; absent: no. */
  readonly hasPlainScale?: boolean;
  /** Input features; whether they fill MX blocks. */
  readonly cols: number;
  /** The online rotation of its input in the tensors; null or absent: none. */
  readonly rotation?: { readonly size: number; readonly prescale: boolean } | null;
}
