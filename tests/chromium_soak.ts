/** Chromium, for soaks of pages. Its name makes `deno task test:soak` find the tests that import it. */
import puppeteer, { type Browser } from "puppeteer-core";
import { exists } from "./exists.ts";
import { SOAK, soakedWhere } from "./soak.ts";

const CHROMIUM = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";

/** How long anything may take on a machine that does much else. */
export const PATIENCE_MS = 300_000;
/** Whether tests of pages are left out, and what their names end with then. */
export const NO_CHROMIUM = !SOAK || !exists(CHROMIUM);
export const SKIPPED: string = soakedWhere(exists(CHROMIUM), "neither Debian's chromium nor CHROMIUM=PATH is there");

/** A browser of its own; whoever starts one closes it. */
export async function startChromium(): Promise<Browser> {
  return await puppeteer.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu"],
    timeout: PATIENCE_MS,
    protocolTimeout: PATIENCE_MS,
  });
}
