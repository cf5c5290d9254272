import type { Job, JobProbe } from "../../src/serve/engine/job.ts";
import { assert, assertEquals } from "../assert.ts";
import { integers, readGolden } from "../golden.ts";
import { jobOf, openServing } from "./serving.ts";

const goldens = readGolden("logits.safetensors");
const PROMPT = Int32Array.from(integers(goldens, "greedy.prompt"));

function job(probe?: JobProbe, maxTokens = 8): Job {
  return jobOf(PROMPT, { maxTokens, probe });
}

Deno.test("a probe sees the logits from its position on, of prompt and reply, and nothing before", async () => {
  await using serving = await openServing();
  const { service } = serving, from = PROMPT.length - 3, seen: [position: number, best: number][] = [];
  const probe: JobProbe = {
    from,
    logits: (position, logits) => seen.push([position, logits.indexOf(Math.max(...logits))]),
  };
  const reply: number[] = [];
  for await (const { id } of service.submit(service.model(), job(probe))) reply.push(id);
  assertEquals(seen.map(([position]) => position), Array.from({ length: 10 }, (_, i) => from + i));
  assertEquals(seen.slice(2).map(([, best]) => best), reply);
});

Deno.test("a probe's tap sees batches of its sequence alone, whatever else is computed", async () => {
  await using serving = await openServing();
  const { service } = serving, model = service.model(), rows = new Map<string, number[]>();
  const others = [job(), job()].map((one) => service.submit(model, one));
  const probe: JobProbe = {
    from: PROMPT.length - 1,
    tap: ({ layer, operation, rows: count }) => {
      if (operation !== "mlpResidual") return;
      rows.set(`${layer}`, [...rows.get(`${layer}`) ?? [], count]);
    },
  };
  await service.submit(model, job(probe, 0)).outcome;
  for (const other of others) assertEquals((await other.outcome).generatedTokens, 8);
  assert(rows.size === model.config.layers);
  for (const counts of rows.values()) assertEquals(counts, [1]);
});
