/** Commands that need no text read no tokenizer: a large one takes longer than the rest of their start. */
import { TINY } from "../text/goldens.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { assertEquals, assertStringIncludes } from "../assert.ts";
import { inProcess as run } from "./in_process.ts";

Deno.test("inspect and logits --tokens run on a checkpoint whose tokenizer nobody could read", async () => {
  using dir = new TemporaryDirectory();
  for (const name of ["config.json", "generation_config.json", "model.safetensors"]) {
    Deno.copyFileSync(`${TINY}/${name}`, `${dir.path}/${name}`);
  }
  Deno.writeTextFileSync(`${dir.path}/tokenizer.json`, "garbled");
  const inspected = await run(["inspect", "--model", dir.path]);
  assertEquals([inspected.code, inspected.stderr], [0, ""]);
  const logits = ["logits", "--model", dir.path, "--threads", "1", "--out", `${dir.path}/logits.safetensors`];
  assertEquals(await run([...logits, "--tokens", "1,2"]), { code: 0, stdout: "", stderr: "" });
  const { code, stderr } = await run([...logits, "--force", "--prompt", "Hi"]);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "tokenizer.json: not JSON");
});
