/** Shapes and layouts of random checkpoints, for tools and tests. */
export * from "../src/checkpoint/random/layouts.ts";
