/** Formats and numbers against grammars and arithmetic that are written down here once more. */
import { assertEquals } from "../assert.ts";
import { matcherOf, takes } from "./judge.ts";

/** Appendix A of RFC 3339, by hand: a recursive descent over the units that follow each other. */
function isDuration(text: string): boolean {
  const chain = (units: string, at: string): boolean => {
    const [, unit, rest] = /^\d+([A-Z])(.*)$/.exec(at) ?? [];
    if (unit === undefined || unit !== units[0]) return false;
    return rest === "" ||
      (rest!.startsWith("T") ? units.startsWith("T", 1) && time(rest!) : chain(units.slice(1), rest!));
  };
  const time = (at: string) => at.startsWith("T") && ["HMS", "MS", "S"].some((units) => chain(units, at.slice(1)));
  // A date may break off after any of its units, and a time may follow it there.
  const date = (at: string) => {
    const [days, clock] = at.split(/(?=T)/) as [string, string?];
    return ["YMD", "MD", "D"].some((units) => chain(units, days)) && (clock === undefined || time(clock));
  };
  const [, after] = /^P(.+)$/.exec(text) ?? [];
  return after !== undefined && (/^\d+W$/.test(after) || time(after) || date(after));
}

Deno.test("durations are those of RFC 3339, whichever units they have", () => {
  const matcher = matcherOf({ type: "string", format: "duration" });
  let good = 0;
  for (let units = 0; units < 2 ** 8; units++) {
    const has = (bit: number, unit: string) => units >> bit & 1 ? unit === "T" ? "T" : `${bit + 9}${unit}` : "";
    const text = `P${["Y", "M", "W", "D", "T", "H", "M", "S"].map((unit, bit) => has(bit, unit)).join("")}`;
    assertEquals(takes(matcher, JSON.stringify(text)), isDuration(text), text);
    good += Number(isDuration(text));
  }
  // Six chains of dates and six of times, alone or together, and weeks. Without T, the second M is one of months too.
  assertEquals(good, 6 + 6 + 36 + 1 + 2);
});

Deno.test("multiples of numbers with many decimals are told exactly", () => {
  for (const [multipleOf, step, places] of [[2.5e-22, 25n, 23], [7e-20, 7n, 20], [0.0003, 3n, 4]] as const) {
    const matcher = matcherOf({ type: "number", multipleOf });
    for (const value of [1n, 3n, 7n, 49n, 98n, 4998n, 4999n, 9998n, 123_456_789n]) {
      for (let decimals = 0; decimals <= Math.min(places, 23); decimals++) {
        const digits = value.toString().padStart(decimals + 1, "0"), at = digits.length - decimals;
        const text = decimals === 0 ? digits : `${digits.slice(0, at)}.${digits.slice(at)}`;
        const good = value * 10n ** BigInt(places - decimals) % step === 0n;
        assertEquals(takes(matcher, text), good, `${text} by ${multipleOf}`);
      }
    }
  }
});

Deno.test("what pydantic does not read is no email, uri or duration, and what is usual is one", () => {
  // Each was given to EmailStr, HttpUrl and timedelta of pydantic 2.14.4 with email-validator.
  const long = (count: number) => "x".repeat(count);
  const cases: readonly [format: string, taken: readonly string[], refused: readonly string[]][] = [
    ["email", [
      "a@b.c",
      "a@b--d.de",
      "a@bcd--e.de",
      "a@xn--mnchen-3ya.de",
      "a@x.xn--p1ai",
      "a@b.1c",
      "a@b2.3.de",
      `${long(64)}@b.de`,
      `a@${long(63)}.de`,
    ], [
      "a@bc--d.de",
      "a@b.de--f",
      "a@b.1",
      "a@b.c1",
      `a@${long(64)}.de`,
      ...["a", "ab", "abc", "abcd", "abcde"].map((label) => `a@${label}-.de`),
      "a@-a.de",
    ]],
    ["uri", [
      "http://1.2.3.4/",
      "http://localhost:8080/x",
      "http://3com.com",
      ...[0, 9999, 10000, 59999, 60000, 64999, 65000, 65499, 65500, 65529, 65535].map((port) => `http://a:${port}`),
    ], [
      "http://1.2.3.999",
      "http://a.1",
      "http://09.1.1.1/",
      "http://a.b.0x",
      "http://a:65536",
      "http://a:66000",
      "http://a:70000",
      "http://a:99999",
    ]],
    ["duration", ["P999999Y999999M99999999DT999999H999999M99999999S", "P99999999W"], [
      "P9999999Y",
      "P99999999M",
      "P182338038W",
      "PT131314252H",
      "PT131314252M",
    ]],
  ];
  for (const [format, taken, refused] of cases) {
    const matcher = matcherOf({ type: "string", format });
    for (const text of taken) assertEquals(takes(matcher, JSON.stringify(text)), true, text);
    for (const text of refused) assertEquals(takes(matcher, JSON.stringify(text)), false, text);
  }
});
