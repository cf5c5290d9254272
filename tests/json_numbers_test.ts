import {
  asFloat,
  asPython,
  float,
  parseAsPython,
  parseInOrder,
  parseWithNames,
  parseWritten,
  writtenNames,
} from "../src/json_numbers.ts";
import { assertEquals, assertThrows } from "./assert.ts";

const text = (value: unknown) => JSON.stringify(value);

Deno.test("parseWritten() keeps numbers as they are written, and everything else as JSON.parse has it", () => {
  const json =
    '{"a":7.0,"b":[1e-05,12345678901234567890,-0],"c":{"d":"7.0","e":null,"f":1E5,"__proto__":1.50},"g":true}';
  assertEquals(text(parseWritten(json)), json);
  assertEquals(text(parseWritten('"x"')), '"x"');
  const { c, g } = parseWritten(json) as { c: Record<string, unknown>; g: boolean };
  assertEquals([c["d"], c["e"], g], ["7.0", null, true]);
});

Deno.test("parseAsPython() keeps what JavaScript would write otherwise than Python", () => {
  const read = parseAsPython('{"a":[1,1.5,-7,1e2,1.0,-0,-0.0,9007199254740993,1e400],"b":"1.0"}') as { a: unknown[] };
  assertEquals(text(read), '{"a":[1,1.5,-7,100.0,1.0,0,-0.0,9007199254740993,null],"b":"1.0"}');
  assertEquals(read.a.slice(0, 3), [1, 1.5, -7]);
});

/** Lists of names and values, Maps and objects told apart. */
function namesOf(value: unknown): unknown {
  if (value instanceof Map) return ["Map", ...[...value as Map<string, unknown>].map(([k, v]) => [k, namesOf(v)])];
  if (Array.isArray(value)) return value.map(namesOf);
  if (typeof value !== "object" || value === null) return value;
  return ["object", ...Object.entries(value).map(([name, inner]) => [name, namesOf(inner)])];
}

Deno.test("parseInOrder() keeps the order of names that are numbers, and takes no text for a name", () => {
  const json = String.raw`{"b": "1\\\": ", "10" : {"x1": 1, "_": " :\"2\": "}, "\u0032":[{"0": 0}], "__proto__": 4}`;
  const read = parseInOrder(json);
  assertEquals(namesOf(read), [
    "Map",
    ["b", '1\\": '],
    ["10", ["object", ["x1", 1], ["_", ' :"2": ']]],
    ["2", [["Map", ["0", 0]]]],
    ["__proto__", 4],
  ]);
  assertEquals(namesOf(parseInOrder('{"b1": 1, "a": {}}')), ["object", ["b1", 1], ["a", ["object"]]]);
});

Deno.test("parseInOrder() reads texts of any number of escapes, and gives up one without an end at once", () => {
  const quotes = '\\"'.repeat(3_000_000);
  assertEquals(namesOf(parseInOrder(`{"a": "${quotes}", "1": 2}`)), ["Map", ["a", '"'.repeat(3_000_000)], ["1", 2]]);
  assertThrows(() => parseInOrder(`{"1": "${quotes}`), SyntaxError);
});

/** Numbers and what Python's json.dumps makes of them. */
const FLOATS: [number: number, python: string][] = [
  [7, "7.0"],
  [0, "0.0"],
  [-0, "-0.0"],
  [1e-5, "1e-05"],
  [0.0001, "0.0001"],
  [0.00012345, "0.00012345"],
  [9.999e-5, "9.999e-05"],
  [1e15, "1000000000000000.0"],
  [9999999999999998, "9999999999999998.0"],
  [1e16, "1e+16"],
  [123456789012345680, "1.2345678901234568e+17"],
  [1e22, "1e+22"],
  [1e100, "1e+100"],
  [1.7976931348623157e308, "1.7976931348623157e+308"],
  [5e-324, "5e-324"],
  [0.1, "0.1"],
  [-2.5e-7, "-2.5e-07"],
  [1000000.5, "1000000.5"],
];

Deno.test("float() writes numbers as Python writes floats, and null for none", () => {
  for (const [number, python] of FLOATS) assertEquals(text(float(number)), python);
  assertEquals([float(NaN), float(Infinity)], [null, null]);
});

Deno.test("asFloat() gives whole numbers a point, and leaves what has one as it is written", () => {
  const { a, b, c, d, e } = parseWritten('{"a":7,"b":7.50,"c":1e-5,"d":"7","e":-3}') as Record<string, unknown>;
  assertEquals([a, b, c, d, e, 7, null].map((value) => text(asFloat(value))), [
    ...["7.0", "7.50", "1e-5", '"7"', "-3.0", "7.0", "null"],
  ]);
});

Deno.test("asPython() writes what Python's json.dumps writes of the same text", () => {
  const read = parseWritten('{"level":7.0,"share":1e-5,"id":12345678901234567890,"list":[1,2.50,{"é":1E3}],"no":null}');
  assertEquals(
    text(asPython(read)),
    '{"level":7.0,"share":1e-05,"id":12345678901234567890,"list":[1,2.5,{"é":1000.0}],"no":null}',
  );
});

Deno.test("parseWithNames() keeps objects, and knows the order of their names where it is another one", () => {
  const json = '{"b": 1.0, "10": {"z": "\\"1\\":", "2": 3, "__proto__": {"1": 0}}, "a": {"c": 1}, "2": 5, "2": 6}';
  const read = parseWithNames(json) as { readonly [name: string]: Record<string, unknown> };
  assertEquals(writtenNames(read), ["b", "10", "a", "2"]);
  assertEquals(Object.keys(read), ["2", "10", "b", "a"]);
  assertEquals(writtenNames(read["10"]!), ["z", "2", "__proto__"]);
  assertEquals(read["10"]!["z"], '"1":');
  assertEquals(writtenNames(read["a"]!), undefined);
  assertEquals(JSON.stringify(read), JSON.stringify(parseAsPython(json)));
});
