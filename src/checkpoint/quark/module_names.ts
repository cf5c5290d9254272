/** Names by which a quantization config may call a module. */
/** A linear of one expert. */
export const EXPERT = /^(model\.layers\.\d+\.mlp\.experts)\.\d+\.(gate_up_proj|down_proj)$/;

/**
 * Names that a config may call a module by, the most specific first: a single expert is also part of the fused module.
 */
export function candidateNames(module: string): string[] {
  const [, experts, projection] = EXPERT.exec(module) ?? [];
  return experts === undefined ? [module] : [module, `${experts}.${projection}`, experts];
}
