/** config.json of random checkpoints, for tools and tests. */
export * from "../src/checkpoint/random/config.ts";
