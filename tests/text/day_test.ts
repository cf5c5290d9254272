import { isoDay, noonOf } from "../../src/text/day.ts";
import { assertEquals } from "../assert.ts";

Deno.test("a day of the calendar is its noon, and nothing else is a day", () => {
  for (const day of ["2026-01-31", "2024-02-29", "2000-02-29", "1999-12-31", "0050-01-01", "9999-12-31"]) {
    const noon = noonOf(day)!;
    assertEquals([isoDay(noon), noon.getHours(), noon.getMinutes(), noon.getSeconds()], [day, 12, 0, 0]);
  }
  const wrong = ["2026-02-30", "2026-02-29", "1900-02-29", "2026-04-31", "2026-13-01", "2026-00-10", "2026-01-00"];
  for (const day of [...wrong, "2026-1-31", "26-01-31", "31.01.2026", "today", "", " 2026-01-31", "2026-01-31T10:00"]) {
    assertEquals(noonOf(day), null, day);
  }
});
