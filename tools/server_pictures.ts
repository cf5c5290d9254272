/**
 * Pictures of the server's page in a browser: the microscope in light, dark, and on a phone of 390 pixels.
 *
 *     deno task mxoss serve --scheme stored --scheme w_mxfp4_a_mxfp4 --scheme w_mxfp4_a_mxfp6_e2m3
 *     deno run -A tools/server_pictures.ts http://127.0.0.1:8080 docs/pictures
 *
 * Needs Chromium at /usr/bin/chromium, as Debian's package `chromium` has it, or its path in `CHROMIUM`.
 */
import puppeteer, { type Page } from "puppeteer-core";

const PROMPT = "A baker makes 14 loaves, sells 9 of them and bakes 6 more. How many loaves are there?";
/** Name, width of the window in pixels, dark or not. */
const PICTURES = [
  ["microscope-light.png", 1180, false],
  ["microscope-dark.png", 1180, true],
  ["microscope-phone.png", 390, false],
] as const;

/** Compares all models, and looks at the token where the second one's prediction is farthest off. */
async function look(page: Page, url: string): Promise<void> {
  await page.goto(`${url}/#microscope`);
  await page.waitForSelector("#others input:checked");
  await page.evaluate(`for (const box of byId("others").querySelectorAll("input:enabled")) box.checked = true`);
  await page.type("#prompt", PROMPT);
  await page.click("#compare");
  const lanes = `document.querySelectorAll(".lane").length === document.querySelectorAll("#others input").length`;
  await page.waitForFunction(`${lanes} && !byId("state").textContent`);
  await page.evaluate(`{
    const kls = [...seen.compared.values()][0].tokens.map(({ kl }) => kl);
    choose(kls.indexOf(Math.max(...kls)));
  }`);
  await page.click("#detail button");
  await page.waitForSelector("table.heat");
  await page.evaluate("scrollTo(0, 0)");
}

const [url, out] = Deno.args;
if (url === undefined || out === undefined) {
  console.error("usage: deno run -A tools/server_pictures.ts URL OUT");
  Deno.exit(2);
}
const browser = await puppeteer.launch({
  executablePath: Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
try {
  for (const [name, width, dark] of PICTURES) {
    const page = await browser.newPage();
    await page.setViewport({ width, height: 900, isMobile: width < 500 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
    await look(page, url);
    await page.screenshot({ path: `${out}/${name}` as `${string}.png`, fullPage: true });
    await page.close();
  }
} finally {
  await browser.close();
}
