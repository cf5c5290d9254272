/** Prints what share of one core a pool uses that has nothing to do; run by pool_test.ts. */
import process from "node:process";
import { addPool, DESCRIPTOR, ROWS } from "./add_pool.ts";

const { pool } = addPool(4);
pool.run("add", 0, DESCRIPTOR, ROWS);
// The workers may still be loading or spinning their last microseconds.
await new Promise((resolve) => setTimeout(resolve, 600));
const before = process.cpuUsage(), began = performance.now();
await new Promise((resolve) => setTimeout(resolve, 500));
const { user, system } = process.cpuUsage(before);
console.log((user + system) / 1000 / (performance.now() - began));
pool.close();
