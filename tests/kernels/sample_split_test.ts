/** Draws by several blocks a row are those of one block and of the host, whatever the logits and what is asked for. */
import { sampleSplitCase } from "../../src/verify/cases/pick.ts";
import { Random } from "../../src/verify/cases/random.ts";
import { assert } from "../assert.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { dose } from "../soak.ts";
import { HostMachine } from "./host_machine.ts";

const pick = <T>(r: Random, all: readonly T[]): T => all[r.below(all.length)]!;

/** Bell-shaped, flat, all equal, of few values, with zeros of both signs, peaked, and rows that are errors. */
function randomLogits(r: Random, vocab: number): Float32Array {
  const size = pick(r, [0.01, 1, 3, 10]), row = r.row(vocab, r.next() < 0.3, size), kind = r.below(9);
  if (kind === 0) row.fill(size);
  else if (kind === 1) row.forEach((_, id) => row[id] = id % 5);
  else if (kind === 2) row.forEach((v, id) => row[id] = v < 0 ? -0 : id & 1 ? 0 : -v);
  else if (kind === 3) row[r.below(vocab)] = 20;
  else if (kind === 4) row.forEach((v, id) => row[id] = Math.fround(8 - 2 * Math.log(1 + id) + 0.1 * v));
  else if (kind === 5) row[r.below(vocab)] = pick(r, [NaN, Infinity, -Infinity]);
  return row;
}

Deno.test({
  name: "random draws by several blocks a row are the host's",
  ignore: await withoutKernelCompiler(),
  fn: async () => {
    using machine = await HostMachine.open();
    const r = new Random(77);
    for (let i = 0; i < dose(24, 1000); i++) {
      const vocab = pick(r, [1, 7, 90, 1003, 1003, 4096, 9001, ...(i % 12 === 0 ? [201_088] : [])]);
      const rows = Array.from({ length: 1 + r.below(8) }, () => {
        const temperature = Math.fround(pick(r, [0, 0.1, 0.5, 0.7, 1, 1, 1.3, 2, 5])),
          topK = pick(r, [0, 0, 1, 50, 700, 5000]);
        const topP = Math.fround(pick(r, [0.01, 0.3, 0.8, 0.95, 0.999, 1, 1])), u = Math.fround(r.next());
        return [randomLogits(r, vocab), [temperature, topP, topK, Math.min(u, 1 - 2 ** -24)]] as const;
      });
      const one = sampleSplitCase(`${i}`, rows);
      await machine.run([one.job]);
      const what = rows.map(([, draw]) => draw.join(" ")).join("; ");
      assert(one.check() <= 1, `${i}: ${vocab} tokens: ${what}`);
    }
  },
});
