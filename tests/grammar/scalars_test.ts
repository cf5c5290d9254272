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
