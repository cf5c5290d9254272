import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { costOf, DEVICE_BANDWIDTHS, paretoFront, tokensPerSecond } from "../../src/eval/cost.ts";
import {
  type CostedSetting,
  costedSettings,
  costTable,
  notBeaten,
  onFront,
  sizeText,
} from "../../src/eval/report/cost_tables.ts";
import { PAGE, TERMINAL } from "../../src/eval/report/table.ts";
import { APART } from "../../src/eval/statistics.ts";
import { BANDWIDTH_OPTION } from "../../src/cli/eval/options.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { TINY } from "../model/tiny.ts";
import { tinyTensors } from "../model/tiny_layouts.ts";

const checkpoint = openCheckpoint(TINY);
const cost = (scheme: string | null, kvCacheDtype: "auto" | "fp8" = "auto") =>
  costOf(planSetting({ ...DEFAULTS, checkpoint, scheme, kvCacheDtype }));

/** Bytes of the tensors whose names match. */
const stored = (pattern: RegExp) =>
  tinyTensors().entries().reduce((sum, [name, { bytes }]) => sum + (pattern.test(name) ? bytes.length : 0), 0);

Deno.test("costOf() counts the bytes of the tensors, and of those that a token needs", () => {
  const { weight_bytes: bytes, active_bytes_per_token: active, kv_bytes_per_token: kv } = cost(null);
  const { layers, kvHeads, headDim, vocab, topK, experts } = checkpoint.config;
  const all = stored(/./) - stored(/norm|sinks/);
  assertEquals(bytes, all);
  const embedding = stored(/embed_tokens/), inExperts = stored(/experts/);
  assertEquals(active, all - embedding + embedding / vocab - inExperts * (1 - topK / experts));
  assertEquals(kv, layers * 2 * kvHeads * headDim * 2);
  assertEquals(cost(null, "fp8").kv_bytes_per_token, kv / 2);
});

Deno.test("costOf() counts converted weights as they are computed", () => {
  const four = cost("w_mxfp4"), six = cost("w_mxfp6_e3m2"), rows = cost("ptpc_fp8"), plain = cost("bf16");
  const numbers = stored(/_blocks$/) * 2;
  assertAlmostEquals(six.weight_bytes - four.weight_bytes, numbers * 2 / 8, 1);
  assertEquals(plain.weight_bytes - four.weight_bytes, numbers * (16 - 4.25) / 8);
  assert(rows.weight_bytes > six.weight_bytes && rows.weight_bytes < plain.weight_bytes);
  assertAlmostEquals(plain.bits_per_weight, 16, 0.1);
  assertEquals(tokensPerSecond(four, { name: "x", bytes_per_second: 2 * four.active_bytes_per_token }), 2);
});

Deno.test("paretoFront() keeps what nothing beats in both", () => {
  const points = [[5, 0], [3, 0.2], [4, 0.1], [4, 0.3], [4, 0.15], [6, 0], [3, 0.2], [2, 0.9]] as const;
  const front = paretoFront(points.map(([bytes, kl]) => ({ bytes, kl })));
  assertEquals(front.map(({ bytes, kl }) => [bytes, kl]), [[2, 0.9], [3, 0.2], [3, 0.2], [4, 0.1], [5, 0]]);
  // In whichever order they come.
  for (let turn = 1; turn < points.length; turn++) {
    const turned = [...points.slice(turn), ...points.slice(0, turn)].map(([bytes, kl]) => ({ bytes, kl }));
    assertEquals([paretoFront(turned), paretoFront(turned.toReversed())], [front, front]);
  }
  const cells = [4, 5].map((bytes, i) => ({
    key: `${i}`,
    label: `${i}`,
    cost: { ...cost(null), weight_bytes: bytes },
  }));
  const settings = costedSettings({ cells, divergences: [], ranking: null });
  assertEquals(settings.map(({ kl }) => kl), [0, null]);
  assertEquals([...onFront(settings)], [settings[0]]);
});

Deno.test("costTable() writes tokens per second as a number that people read", () => {
  const setting: CostedSetting = {
    ...{ key: "a", label: "a", cost: { ...cost(null), active_bytes_per_token: 1_900_000_000 } },
    ...{ kl: 0, typical: null, like: new Set(["a"]) },
  };
  const { heads, rows } = costTable([setting], { name: "h100", bytes_per_second: 3.35e12 }, TERMINAL);
  assertEquals(rows[0]![heads.indexOf("tok/s")], "1760");
});

Deno.test("costTable() gives typical KL with its interval, and with the digits that this leaves sure", () => {
  const typicals = [
    { value: 0, low: 0, high: 0 },
    { value: 0.0123456, low: 0.0101, high: 0.0149 },
    { value: 0, low: 0, high: null },
    { value: null, low: null, high: null },
    null,
  ];
  const settings = typicals.map((typical, i): CostedSetting => ({
    ...{ key: `${i}`, label: `${i}`, cost: cost(null), kl: typical?.value ?? null, typical, like: new Set([`${i}`]) },
  }));
  for (const medium of [TERMINAL, PAGE]) {
    const { heads, rows } = costTable(settings, null, medium), at = heads.indexOf("typical KL");
    const expected = ["0", "0.012 [0.010, 0.015]", "0 (none seen)", "- [-, -]", "-"];
    assertEquals(rows.map((row) => row[at]), expected);
  }
});

Deno.test("settings that paired tests do not tell apart are both on the front, whichever came out closer", () => {
  const front = (p: number, bytes: readonly [string, number][] = [["x", 2], ["y", 2]]) => {
    const kls: Record<string, number> = { a: 0, x: 1e-9, y: 1.1e-9, twin: 1e-9 };
    const settings = [["a", 4] as const, ...bytes].map(([key, weight]): CostedSetting => ({
      ...{ key, label: key, cost: { ...cost(null), weight_bytes: weight }, kl: kls[key]! },
      ...{ typical: null, like: new Set(p < APART ? [key] : ["x", "y"]) },
    }));
    return [...notBeaten(settings)].map(({ key }) => key).join(" ");
  };
  assertEquals([front(0.3), front(0.01)], ["a x y", "a x"]);
  // More bytes for what is surely farther, or for the same bits, are no choice; for what may be closer they are.
  assertEquals(front(0.01, [["x", 2], ["y", 3]]), "a x");
  assertEquals(front(0.3, [["x", 2], ["y", 3]]), "a x y");
  assertEquals(front(0.3, [["x", 2], ["twin", 3]]), "a x");
  assertEquals(front(0.01, [["x", 5]]), "a");
});

Deno.test("--bandwidth takes rates and devices, and nothing else", () => {
  const rate = (given: string) => BANDWIDTH_OPTION.schema.safeParse(given).data?.bytes_per_second;
  assertEquals([rate("3.35TB/s"), rate("900 GB/s"), rate("80MB/s")], [3.35e12, 9e11, 8e7]);
  assertEquals([rate("H100"), rate("mi300x")], [DEVICE_BANDWIDTHS.get("h100"), 5.3e12]);
  for (const wrong of ["", "0TB/s", "3.35TB", "3.35", "-1GB/s", "h1000"]) assertEquals(rate(wrong), undefined, wrong);
});

Deno.test("bandwidths are those of the bus: its width in bits times the rate of a pin", () => {
  // As the sources have them that are named beside the rates: bits, and Gbit/s of each.
  for (
    const [device, bits, rate] of [
      ["l40s", 384, 18],
      ["rtx-4090", 384, 21],
      ["rtx-5090", 512, 28],
      ["rx-7900-xtx", 384, 20],
      ["a100-40gb", 5120, 2 * 1.215],
      ["b200", 7680, 2 * 3.996],
    ] as const
  ) assertAlmostEquals(DEVICE_BANDWIDTHS.get(device)! / (bits * rate * 1e9 / 8), 1, 1e-3, device);
});

Deno.test("sizeText() gives three digits", () => {
  assertEquals([12_800_000_000, 999_000, 512, 6_340_000].map(sizeText), ["12.8 GB", "999 kB", "512 B", "6.34 MB"]);
});
