import { firstNonFinite } from "../../src/formats/finite.ts";
import { argmax } from "../../src/session/likelihood.ts";
import { integers, normals } from "../formats/seeded.ts";
import { assertEquals } from "../assert.ts";
import { Machine } from "./module.ts";

/** The places of the largest of each row of so many logits, which lie one element further apart. */
function likeliest(rows: readonly ArrayLike<number>[]): number[] {
  const machine = new Machine(), count = rows[0]!.length, out = machine.integers(rows.length);
  const logits = machine.floats(rows.flatMap((row) => [...Array.from(row), NaN]));
  machine.run("likeliest", [logits.address, count + 1, count, out.address], rows.length, [out]);
  return [...out.data];
}

/** What its slow twins say. */
function expected(row: ArrayLike<number>): number {
  const logits = Float32Array.from(row), bad = firstNonFinite(logits);
  return bad < 0 ? argmax(logits) : ~bad;
}

Deno.test("likeliest() finds the largest logit, the first of equal ones, in rows of every length", () => {
  for (const count of [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 20, 33, 38]) {
    const next = integers(count);
    const rows = [
      normals(count, count, 3),
      Array.from({ length: count }, () => next() % 3 - 4),
      new Array(count).fill(-1),
    ];
    // Wherever it stands.
    for (let at = 0; at < count; at++) rows.push(Float32Array.from({ length: count }, (_, i) => i === at ? -2 : -3));
    assertEquals(likeliest(rows), rows.map(expected), `${count}`);
  }
});

Deno.test("likeliest() takes zeros of both signs for equal, and numbers of every size for numbers", () => {
  const rows = [[-0, 0, -1, -2], [0, -0, -1, -2], [-1, -0, 0, -0], [-3e38, -1e-45, -1e-40, -3.4e38], [3e38, 1, 2, 3e38]]
    .map((row) => [...row, ...row.map(() => -3.4e38), ...row.map(() => -3.4e38), ...row]);
  assertEquals(likeliest(rows), [0, 0, 1, 1, 0]);
});

Deno.test("likeliest() names the first logit that is no number, wherever that is", () => {
  const rows: number[][] = [];
  for (const bad of [NaN, Infinity, -Infinity]) {
    for (let at = 0; at < 40; at++) {
      // Alone, and with the last one.
      rows.push(Array.from({ length: 40 }, (_, i) => i === at ? bad : i % 7));
      rows.push(Array.from({ length: 40 }, (_, i) => i === at || i === 39 ? bad : i % 7));
    }
  }
  rows.push(new Array(40).fill(-Infinity));
  assertEquals(likeliest(rows), rows.map(expected));
  assertEquals(rows.map(expected).slice(0, 6), [~0, ~0, ~1, ~1, ~2, ~2]);
});
