/**
 * The manifest of an Indexed Job: judged by Kubernetes' own schemas (`pip install kubernetes-validate==1.37.0`;
 * MXOSS_KUBERNETES names the Python that has it), and its container's command run once for each pod, with the variables
 * that Kubernetes and the manifest set.
 */
import { z } from "zod";
import { assertEquals, assertMatch } from "../assert.ts";
import { SOAK, soakedWhere } from "../soak.ts";
import { ARGS, assertSameResults, inOneProcess } from "./evaluation.ts";
import { Bench, example } from "./processes.ts";

const MANIFEST = example("kubernetes.yaml");
const PYTHON = Deno.env.get("MXOSS_KUBERNETES") ?? "python3";

/** What is looked at of the manifest. */
const Manifest = z.object({
  kind: z.literal("Job"),
  spec: z.object({
    completionMode: z.literal("Indexed"),
    completions: z.int(),
    template: z.object({
      spec: z.object({
        containers: z.tuple([z.object({
          command: z.array(z.string()),
          args: z.array(z.string()),
          env: z.array(z.object({ name: z.string(), value: z.string() })),
        })]),
      }),
    }),
  }),
});

const READ = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";

async function validates(): Promise<boolean> {
  try {
    const args = ["-c", "import kubernetes_validate"];
    return (await new Deno.Command(PYTHON, { args, stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

const THERE = SOAK && await validates();
const SKIPPED = soakedWhere(THERE, "kubernetes-validate is not installed");

Deno.test({
  name: `the pods of an Indexed Job give the results of one process, by a manifest that Kubernetes accepts${SKIPPED}`,
  ignore: !THERE,
  fn: async () => {
    using bench = new Bench();
    const judged = await bench.run([PYTHON, "-m", "kubernetes_validate", "--strict", MANIFEST]);
    assertEquals(judged.code, 0, judged.stdout + judged.stderr);
    const json = await bench.run([PYTHON, "-c", READ, MANIFEST]);
    const { spec: { completions, template } } = Manifest.parse(JSON.parse(json.stdout));
    const [{ command, args, env }] = template.spec.containers;
    assertEquals(completions, 8);

    const one = await inOneProcess(bench), { MODEL, DATA } = bench.env;
    const places: readonly (readonly [string, string])[] = [
      ["/shared/gpt-oss-20b", MODEL!],
      ["/shared/gsm8k/test.jsonl", DATA!],
      ["/shared", bench.path],
    ];
    const here = (word: string) => places.reduce((text, [from, to]) => text.replace(from, to), word);
    const variables = Object.fromEntries(env.map(({ name, value }) => [name, value]));
    for (let index = 0; index < completions; index++) {
      const pod = { ...variables, JOB_COMPLETION_INDEX: `${index}` };
      const words = [...command, ...args.map(here), "--threads", "1", ...ARGS.split(" ")];
      const { code, stdout, stderr } = await bench.run(words, pod);
      assertEquals(code, 0, stderr);
      assertMatch(stdout, new RegExp(`^part ${index + 1}/8 is done`));
    }
    const joined = await bench.run(["mxoss", "report", `${bench.path}/run`, "--out", `${bench.path}/run`]);
    assertEquals(joined.code, 0, joined.stderr);
    assertSameResults(`${bench.path}/run`, one);
  },
});
