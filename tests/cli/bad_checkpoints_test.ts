/**
 * Checkpoints in Quark's layout with one thing wrong, given to the program: one line that names it, exit code 2,
 * nothing computed.
 */
import { relative } from "node:path";
import { randomConfig } from "../../src/checkpoint/random/config.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { rewrite, SHORT, TemporaryDirectory } from "../checkpoint/container.ts";
import { makeCheckpoint } from "../checkpoint/make.ts";
import { Random } from "../checkpoint/random.ts";
import { CASES, type Json, SHAPE } from "./bad_checkpoint_cases.ts";
import { inProcess } from "./in_process.ts";
import { mxoss } from "./program.ts";

for (const [i, [wrong, { quark = {}, shape = SHAPE, tensors, config }, line]] of CASES.entries()) {
  Deno.test(`mxoss refuses a Quark checkpoint with ${wrong}`, async () => {
    using dir = new TemporaryDirectory(SHORT);
    makeCheckpoint(dir, new Random(1), { shape, layout: "quark", quark });
    if (tensors) rewrite(`${dir.path}/model.safetensors`, tensors);
    if (config) {
      const json = randomConfig(shape, "quark", quark);
      config(json["quantization_config"] as Json, json);
      dir.write("config.json", json);
    }
    const model = relative(Deno.cwd(), dir.path), out = `${dir.path}/logits.safetensors`;
    const args = ["logits", "--model", model, "--tokens", "1,2", "--out", out];
    const { code, stdout, stderr } = await (i === 0 ? mxoss(args, { writable: dir.path }) : inProcess(args));
    assertMatch(stderr, /^(?:warning: [^\n]+\n)*error: [^\n]+\n$/);
    const last = stderr.split("\n").at(-2)!;
    assertMatch(last, line);
    assertMatch(last, /^error: \S+\/(config\.json|model\.safetensors): .*(expected|need) .*got /);
    assert(last.startsWith(`error: ${model}/`), last);
    assertEquals([code, stdout], [2, ""]);
    assertEquals([...Deno.readDirSync(dir.path)].length, 2);
  });
}
