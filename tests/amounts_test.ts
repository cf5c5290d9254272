import { bytesText, durationText } from "../src/amounts.ts";
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
