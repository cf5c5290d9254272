/** Tokens that threads find together are those of all logits: of equal ones the first, of near ones the largest. */
import { openEmulate } from "../../../src/backends/emulate/open.ts";
import { encodePlain } from "../../../src/formats/encode.ts";
import { GptOss } from "../../../src/model/gpt_oss.ts";
import { likeliestOf } from "../../../src/model/likeliest.ts";
import { assert, assertEquals } from "../../assert.ts";
import { integers, normals } from "../../formats/seeded.ts";
import { requestFor } from "../gpu/opened.ts";
import { type RandomModel, randomModel, testConfig } from "../random_model.ts";

const COLS = 64, VOCAB = 700, ROWS = 33;
const config = testConfig({ vocab: VOCAB, hidden: COLS });

/** Replaces the head's rows. */
function setHead({ source }: RandomModel, row: (r: number) => Float32Array): void {
  const { offset, rowStride } = source.tree.head.weight;
  using file = Deno.openSync(source.files[0]!.path, { write: true });
  for (let r = 0; r < VOCAB; r++) {
    file.seekSync(offset + r * rowStride, Deno.SeekMode.Start);
    file.writeSync(encodePlain(row(r), "bf16"));
  }
}

const next = integers(5), base = normals(6, COLS);
/** Few different rows, so that many logits are equal; rows that differ in a number; and others. */
const HEADS: readonly ((r: number) => Float32Array)[] = [
  (r) => normals(100 + r % 90, COLS),
  (r) => base.map((x, c) => c === r % COLS ? x + 2 ** -6 : x),
  (r) => normals(1000 + r, COLS),
];
/** Rows that first digits tell well, and rows with outliers, of which they leave much. */
const INPUTS: readonly ((c: number, numbers: Float32Array) => number)[] = [
  (c, numbers) => numbers[c]!,
  (c, numbers) => numbers[c]! * (c % 16 === 3 ? 300 : 1),
  (c, numbers) => base[c]! + 2 ** -10 * numbers[c]!,
];

Deno.test("a backend's threads pick what all logits pick, of equal and of near logits", async () => {
  const rows = Int32Array.from({ length: ROWS }, (_, i) => i);
  let picked = 0;
  for (const head of HEADS) {
    using model = randomModel(2, { config });
    setHead(model, head);
    for (const threads of [1, 3]) {
      const backend = await openEmulate(requestFor(model), { threads, weights: "read", worthSharing: 1 });
      const graph = new GptOss(backend, config), { weights, tensors: { normed } } = backend;
      backend.begin({ ids: rows, slots: rows.map(() => 0), positions: rows });
      for (let round = 0; round < 12; round++) {
        const values = new Float32Array(ROWS * COLS);
        for (let t = 0; t < ROWS; t++) {
          const input = INPUTS[(t + round) % INPUTS.length]!, numbers = normals(next(), COLS);
          for (let c = 0; c < COLS; c++) values[t * COLS + c] = input(c, numbers);
        }
        backend.write(normed, values);
        const ids = backend.greedy(normed, weights.head, rows)?.slice(), logits = graph.logits(rows);
        if (ids === undefined) continue;
        picked++;
        const expected = Array.from(rows, (row) => likeliestOf(logits.subarray(row * VOCAB, (row + 1) * VOCAB)));
        assertEquals([...ids], expected, `${threads}, ${round}`);
      }
      await backend.close();
    }
  }
  assert(picked >= 10, `${picked} batches`);
});
