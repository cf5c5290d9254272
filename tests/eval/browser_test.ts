/** Pages that commands write, in a real browser. */
import { assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { NO_CHROMIUM, SKIPPED, startChromium } from "../chromium_soak.ts";
import { inProcess } from "../cli/in_process.ts";

const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;

Deno.test({
  name: `pages of runs on a phone of 390 pixels are not scrolled sideways${SKIPPED}`,
  ignore: NO_CHROMIUM,
  fn: async (t) => {
    using dir = new TemporaryDirectory();
    const text = dir.write("text.txt", "Sam has 47 marbles and gives 12 away. How many has he now? #### 35");
    const schemes = ["--scheme", "w_mxfp4,w_mxfp4_a_mxfp4"];
    const runs: Record<string, readonly string[]> = {
      compare: ["compare", "--text", text, "--b", "scheme=w_mxfp4_a_mxfp4"],
      gsm8k: ["eval", "gsm8k", "--data", PROBLEMS, "--limit", "3", ...schemes],
      perplexity: ["eval", "perplexity", "--text", text, ...schemes],
    };
    const browser = await startChromium();
    try {
      for (const [name, args] of Object.entries(runs)) {
        await t.step(name, async () => {
          const out = `${dir.path}/${name}`, { code, stderr } = await inProcess([...args, "--out", out]);
          assertEquals(code, 0, stderr);
          const page = await browser.newPage(), complaints: string[] = [];
          page.on("pageerror", (error) => complaints.push(String(error)));
          await page.setViewport({ width: 390, height: 900, isMobile: true });
          await page.goto(`file://${out}/report.html`);
          assertEquals(await page.evaluate("document.documentElement.scrollWidth"), 390);
          assertEquals(complaints, []);
          await page.close();
        });
      }
    } finally {
      await browser.close();
    }
  },
});
