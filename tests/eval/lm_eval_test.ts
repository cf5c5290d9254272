/** Exported samples, scored by lm-eval's own code, in `deno task test:soak`. */
import { FILTERS } from "../../src/eval/filters.ts";
import { Gsm8kResults } from "../../src/eval/results_schema.ts";
import { assert, assertEquals } from "../assert.ts";
import { mxoss } from "../cli/program.ts";
import { pythonOf } from "../installed.ts";
import { SOAK, soakedWhere } from "../soak.ts";

const python = SOAK ? pythonOf("serve/lm_eval_packages.txt") : null;
const HARDER = new URL("../goldens/word-problems-harder.jsonl", import.meta.url).pathname;
const SCORER = new URL("lm_eval_scores.py", import.meta.url).pathname;

Deno.test({
  name: `lm-eval's own filters score exported samples as we do${
    soakedWhere(python !== null, "lm-eval could not be installed")
  }`,
  ignore: python === null,
  fn: async () => {
    const dir = await Deno.makeTempDir();
    try {
      const settings: [name: string, args: string[]][] = [
        ["chat", ["--max-tokens", "120", "--scheme", "w_mxfp4,w_mxfp4_a_mxfp4"]],
        // A chat model that completes text writes all kinds of things.
        ["completion", ["--prompt", "completion", "--shots", "2", "--max-tokens", "60"]],
      ];
      for (const [name, args] of settings) {
        const out = `${dir}/${name}`;
        const { code, stdout, stderr } = await mxoss(
          [
            "eval",
            "gsm8k",
            "--data",
            HARDER,
            "--limit",
            "40",
            "--divergence",
            "0",
            "--out",
            out,
            "--export",
            "lm-eval",
            "--json",
            ...args,
          ],
          { writable: out },
        );
        assertEquals(code, 0, stderr);
        const results = Gsm8kResults.parse(JSON.parse(stdout));
        const files = results.cells.map(({ key }) => `${out}/samples_gsm8k_${key}.jsonl`);
        const scored = await new Deno.Command(python!, { args: [SCORER, ...files] }).output();
        const lines = new TextDecoder().decode(scored.stdout).trim().split("\n");
        assertEquals(lines.length, files.length, new TextDecoder().decode(scored.stderr));
        lines.forEach((line, i) => {
          const { samples, accuracy, mistakes } = JSON.parse(line);
          assertEquals(mistakes, []);
          assertEquals(samples, 40 * FILTERS.length);
          for (const filter of FILTERS) assertEquals(results.cells[i]!.filters[filter].accuracy, accuracy[filter]);
        });
        if (name === "chat") assert(results.cells[0]!.filters["strict-match"].correct > 20);
      }
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
