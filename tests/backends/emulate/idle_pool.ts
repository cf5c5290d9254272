/** Prints what share of one core a pool comes to use that has nothing to do; run by pool_test.ts. */
import process from "node:process";
import { addPool, DESCRIPTOR, ROWS } from "./add_pool.ts";

/** Looks until workers that were still loading, or spinning their last microseconds, must have come to rest. */
const LOOKS = 200, LOOK_MS = 250;
/** Share below which they have. */
const LITTLE = 0.05;

const { pool } = addPool(4);
pool.run("add", 0, DESCRIPTOR, ROWS);
let least = Infinity;
for (let i = 0; i < LOOKS && least > LITTLE; i++) {
  const before = process.cpuUsage(), began = performance.now();
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  const { user, system } = process.cpuUsage(before);
  least = Math.min(least, (user + system) / 1000 / (performance.now() - began));
}
console.log(least);
pool.close();
