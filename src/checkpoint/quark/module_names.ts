/** Names by which a quantization config may call a module. */
/** A linear of one expert. */
export const EXPERT = /^(model\.layers\.\d+\.mlp\.experts)\.\d+\.(gate_up_proj|down_proj)$/;
/** Linears that no reader quantizes, whether they are excluded or not; calibration does not measure their inputs. */
export const NEVER_QUANTIZED = /^lm_head$|\.mlp\.router$/;
const ROUTER = /^model\.layers\.\d+\.mlp\.router$/;

/** Name of one projection of all experts of a layer, of one of which the linear is; any other module's own name. */
export function projectionName(module: string): string {
  const [, experts, projection] = EXPERT.exec(module) ?? [];
  return experts === undefined ? module : `${experts}.${projection}`;
}

/**
 * Names that a config may call a module by, the most specific first: a single expert is also part of the fused module,
 * and up to its version 0.12 AMD Quark calls a router by the linear within it, whose tensors it exports as the
 * router's.
 */
export function candidateNames(module: string): string[] {
  const experts = EXPERT.exec(module)?.[1];
  if (experts !== undefined) return [module, projectionName(module), experts];
  return ROUTER.test(module) ? [module, `${module}.linear`] : [module];
}
