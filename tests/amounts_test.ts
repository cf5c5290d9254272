import { bytesText, durationText, rateText, roughDurationText } from "../src/amounts.ts";
import { assertEquals } from "./assert.ts";

Deno.test("durationText() rounds up, to seconds below an hour and to minutes above", () => {
  const cases: [number, string][] = [
    [0, "0s"],
    [0.2, "1s"],
    [59, "59s"],
    [59.5, "1m"],
    [725, "12m 5s"],
    [3599, "59m 59s"],
    [3599.5, "1h"],
    [12_001, "3h 21m"],
    [86_400, "1d"],
  ];
  for (const [seconds, text] of cases) assertEquals(durationText(seconds), text);
});

Deno.test("bytesText() gives three digits and decimal units", () => {
  assertEquals([0, 999, 737_280, 13.84e9].map(bytesText), ["0 B", "999 B", "737 kB", "13.8 GB"]);
});

Deno.test("roughDurationText() has a digit, or two from 10 on", () => {
  const expected: [seconds: number, text: string][] = [
    [0, "0 s"],
    [0.4, "below 1 s"],
    [8.4, "8 s"],
    [72, "72 s"],
    [99.6, "2 min"],
    [2162, "36 min"],
    [2 * 3600, "2 h"],
    [19.6 * 3600, "20 h"],
    [83 * 3600, "3 days"],
  ];
  for (const [seconds, text] of expected) assertEquals(roughDurationText(seconds), text);
});

Deno.test("rateText() has three digits, and no exponent where a rate is large", () => {
  const rates = [0.01234, 4, 99.96, 999.4, 999.6, 1763.4, 638000];
  assertEquals(rates.map(rateText), ["0.0123", "4.00", "100", "999", "1000", "1760", "638000"]);
});
