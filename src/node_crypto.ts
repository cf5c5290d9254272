/** node:crypto for what every run imports and few use: with all that comes along, its import takes some 10 ms. */
type NodeCrypto = typeof import("node:crypto");

/** As of node:crypto, which is loaded at the first call. */
export const createHash: NodeCrypto["createHash"] = (algorithm, options) =>
  builtin("node:crypto").createHash(algorithm, options);

function builtin(name: "node:crypto"): NodeCrypto {
  const { process } = globalThis as unknown as {
    readonly process: { getBuiltinModule(name: "node:crypto"): NodeCrypto };
  };
  return process.getBuiltinModule(name);
}
