import { z } from "zod";
import { checkedResults, resultsText } from "../../src/eval/results_file.ts";
import { lmEvalSamples } from "../../src/eval/lm_eval.ts";
import { readDataset } from "../../src/eval/dataset.ts";
import { FILTERS } from "../../src/eval/filters.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { turnedBits } from "./damages.ts";

Deno.test("resultsText() writes numbers as floats and integers as integers, wherever they stand", () => {
  const schema = z.strictObject({
    version: z.literal(1),
    count: z.int(),
    share: z.number().min(0).max(1),
    p: z.number().nullable(),
    none: z.number().nullable(),
    list: z.array(z.number().nullable()),
    ids: z.array(z.int()),
    inner: z.array(z.strictObject({ low: z.number(), at: z.int().min(0) })).nullable(),
  });
  const written = resultsText(schema, {
    ...{ version: 1 as const, count: 3, share: 1, p: 0, none: null, list: [1, null, 1e-7], ids: [4] },
    inner: [{ low: -2, at: 5 }],
  });
  assertEquals(
    written.replaceAll(/\s+/g, ""),
    '{"version":1,"count":3,"share":1.0,"p":0.0,"none":null,"list":[1.0,null,1e-07],"ids":[4],' +
      '"inner":[{"low":-2.0,"at":5}],"crc32":"CRC"}'.replace(
        "CRC",
        /"crc32": "([0-9a-f]{8})"\n\}\n$/.exec(written)![1]!,
      ),
  );
  const { crc32: _, ...rest } = JSON.parse(written);
  assertEquals(checkedResults(JSON.parse(written), "results.json"), rest);
});

Deno.test("results of which any bit was turned are refused, by their checksum or as none", () => {
  const schema = z.strictObject({ share: z.number(), text: z.string(), crc32: z.string().optional() });
  const whole = new TextEncoder().encode(resultsText(schema, { share: 0.25, text: "ä b" }));
  const read = (bytes: Uint8Array) => {
    const json: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return schema.parse(checkedResults(json, "results.json"));
  };
  assertEquals(read(whole), { share: 0.25, text: "ä b" });
  let byChecksum = 0;
  for (const [what, make] of turnedBits(whole)) {
    const error = assertThrows(() => read(make()), Error, "", what);
    if (error.message.startsWith("results.json: is damaged: expected checksum ")) byChecksum++;
  }
  // Of the text, the number and the checksum itself.
  assert(byChecksum > 60, `${byChecksum} by the checksum`);
});

Deno.test("the checksum of results is the CRC-32 that gzip has of their JSON without it", async () => {
  const schema = z.strictObject({ share: z.number(), count: z.int() });
  const { crc32 } = JSON.parse(resultsText(schema, { share: 1, count: 2 }));
  const packed = new Blob(['{"share":1,"count":2}']).stream().pipeThrough(new CompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(packed).arrayBuffer());
  assertEquals(crc32, bytes.subarray(-8, -4).toReversed().toHex());
});

Deno.test("lmEvalSamples() writes and hashes a problem as Python reads it, its floats as floats", () => {
  const path = Deno.makeTempFileSync({ suffix: ".jsonl" });
  const line = '{"question":"1 + 1?","answer":"#### 2","level":7.0,"share":1e-5,"id":12345678901234567890,' +
    '"list":[1,2.50,{"é":1E3}]}';
  try {
    Deno.writeTextFileSync(path, line);
    const { problems } = readDataset(path, "--data");
    const filtered = { extracted: "2", correct: true };
    const answer = { index: 0, scored: "2", ...Object.fromEntries(FILTERS.map((filter) => [filter, filtered])) };
    const [sample] = lmEvalSamples(
      { problems, prompts: [{ text: "p" }], maxTokens: 9 } as unknown as Parameters<typeof lmEvalSamples>[0],
      [answer] as unknown as Parameters<typeof lmEvalSamples>[1],
    );
    const doc = line.replace("1e-5", "1e-05").replace("2.50", "2.5").replace("1E3", "1000.0");
    assertEquals(sample!.includes(`"doc":${doc},`), true, sample);
    assertEquals(sample!.includes('"temperature":0.0,'), true, sample);
    assertEquals(sample!.endsWith('"exact_match":1.0}'), true, sample);
    // sha256(json.dumps(doc, indent=2, ensure_ascii=False)) in Python.
    const hash = "d72d8a06911476edbe3873d64b3f31b2ac61157f20292c48b146879647453540";
    assertEquals(JSON.parse(sample!).doc_hash, hash);
  } finally {
    Deno.removeSync(path);
  }
});
