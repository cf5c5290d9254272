/** The option of the day that prompts say it is, without which they are others on another day. */
import { z } from "zod";
import { noonOf } from "../text/day.ts";
import { option } from "./options.ts";

/** Schema of a day, which becomes its noon. */
function day() {
  return z.string().transform((text, context) => {
    const noon = noonOf(text);
    if (noon !== null) return noon;
    context.addIssue({ code: "custom", message: "expected a day of the calendar, as in 2026-01-31" });
    return z.NEVER;
  });
}

/** What prompts are told, noon of the day; undefined: what the clock says. */
export const DATE_OPTION = option(
  "DAY",
  day().optional(),
  "day that the chat template is told, as in 2026-01-31, so that prompts are the same on any day (default: today)",
);
