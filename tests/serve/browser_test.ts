/** The page in a real browser, with the real command behind it. */
import type { Browser, Page } from "puppeteer-core";
import { assert, assertEquals } from "../assert.ts";
import { NO_CHROMIUM, PATIENCE_MS, SKIPPED, startChromium } from "../chromium_soak.ts";
import { startServer } from "./server_process.ts";

async function open(browser: Browser, url: string, width = 1180, dark = false): Promise<Page> {
  const page = await browser.newPage(), complaints: string[] = [];
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(url.split("#")[0]!) && !request.url().startsWith("data:")) {
      complaints.push(`asked ${request.url()}`);
    }
  });
  page.on("close", () => assertEquals(complaints, []));
  await page.setViewport({ width, height: 900, isMobile: width < 500 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
  await page.goto(url);
  return page;
}

/** Runs a comparison by the keyboard alone. */
async function compare(page: Page): Promise<void> {
  await page.waitForSelector("#others input:checked");
  await page.focus("#prompt");
  await page.keyboard.type("Sam has 12 marbles and gives 5 away. How many are left?");
  await page.keyboard.down("Control");
  await page.keyboard.press("Enter");
  await page.keyboard.up("Control");
  await page.waitForFunction(`document.querySelectorAll(".lane").length === 2 && !byId("state").textContent`);
}

const text = (page: Page, selector: string) => page.$eval(selector, (element) => element.textContent ?? "");

Deno.test({
  name: `the page in Chromium: chat, microscope, keyboard, phone, dark${SKIPPED}`,
  ignore: NO_CHROMIUM,
  fn: async (t) => {
    const server = await startServer([
      "--log",
      "none",
      "--threads",
      "2",
      "--scheme",
      "stored",
      "--scheme",
      "w_mxfp4_a_mxfp4",
    ]);
    const browser = await startChromium();
    try {
      await t.step("the microscope by the keyboard: lanes, alternatives, layers", async () => {
        const page = await open(browser, `${server.url}/#microscope`);
        await compare(page);
        assert((await text(page, ".lane:nth-child(1) .tokens")).includes("#### 7"));
        assert(
          /^KL to the reference: [0-9.e-]+ nats over these \d+ tokens/.test(await text(page, ".lane:nth-child(2) p")),
        );
        const titles = await page.$$eval(
          ".lane:nth-child(2) .t",
          (all) => all.map((one) => one.getAttribute("aria-label")),
        );
        assert(titles.every((title) => /^token \d+ .*: KL [0-9.e-]+ nats/s.test(title ?? "")));
        await page.focus(".lane:nth-child(2) .t[tabindex='0']");
        for (let i = 0; i < 5; i++) await page.keyboard.press("ArrowRight");
        await page.keyboard.press("Enter");
        await page.waitForSelector("#detail table");
        assertEquals(await page.$$eval(".t[aria-pressed=true]", (all) => all.length), 2);
        await page.focus("#detail button");
        await page.keyboard.press("Enter");
        await page.waitForSelector("table.heat");
        assertEquals(await page.$$eval("table.heat tbody tr", (rows) => rows.length), 4);
        await page.close();
      });
      await t.step("a phone of 390 pixels shows all of it without scrolling sideways, in dark as well", async () => {
        for (const dark of [false, true]) {
          const page = await open(browser, `${server.url}/#microscope`, 390, dark);
          await compare(page);
          await page.click(".lane:nth-child(2) .t");
          await page.waitForSelector("#detail table");
          const wide = await page.evaluate("document.documentElement.scrollWidth");
          assertEquals(wide, 390);
          const background = await page.evaluate("getComputedStyle(document.body).backgroundColor");
          assertEquals(background, dark ? "rgb(21, 23, 26)" : "rgb(251, 251, 250)");
          await page.close();
        }
      });
      await t.step("a chat of two turns, streamed, with its channels apart", async () => {
        const page = await open(browser, server.url);
        await page.waitForSelector("#model option");
        const say = async (message: string, replies: number) => {
          await page.focus("#message");
          await page.keyboard.type(message);
          await page.keyboard.press("Enter");
          await page.waitForFunction(
            `document.querySelectorAll(".said.assistant").length === ${replies} && !byId("send").disabled`,
          );
        };
        await say("Sam has 12 marbles and gives 5 away. How many are left?", 1);
        assertEquals(await text(page, "#chat-error"), "");
        assert((await text(page, ".said.assistant details")).includes("12 - 5 = 7"));
        assert((await text(page, ".said.assistant > div")).includes("7"));
        assert(/tokens in [0-9.]+ s, stop$/.test(await text(page, ".said.assistant > .soft")));
        await say("He finds 3 more. How many are there?", 2);
        assertEquals(await text(page, "#chat-error"), "");
        await page.close();
      });
      await t.step("what the server refuses is said on the page", async () => {
        const page = await open(browser, `${server.url}/#microscope`);
        await page.waitForSelector("#others input:checked");
        await page.click("#look details summary");
        await page.type("#given", "a b c d");
        await page.$eval("#tokens", (element) => (element as unknown as { value: string }).value = "1");
        await page.type("#prompt", "Hi");
        await page.click("#compare");
        await page.waitForFunction(`byId("look-error").textContent`);
        assert((await text(page, "#look-error")).startsWith("reply: expected at most max_tokens = 1 tokens"));
        await page.close();
      });
    } finally {
      await browser.close();
      assertEquals(await server.stop(), 0);
    }
  },
});
