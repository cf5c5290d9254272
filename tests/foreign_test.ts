import { openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import { openSafetensors } from "../src/checkpoint/safetensors.ts";
import { InputError } from "../src/errors.ts";
import { foreignBytes, foreignNames } from "../src/foreign.ts";
import { JOURNAL } from "../src/quantize/journal.ts";
import { assertEquals, assertMatch, assertThrows } from "./assert.ts";
import { container, TemporaryDirectory } from "./checkpoint/container.ts";

const GGUF = "as llama.cpp and Ollama read (mxoss convert makes a checkpoint of gpt-oss's)";

Deno.test("a checkpoint of another tool is named as what it is, in one line", () => {
  using dir = new TemporaryDirectory();
  const cases: [name: string, content: string, got: string][] = [
    ["x.gguf", "GGUF\u0003\0\0\0", `expected a checkpoint directory, got a GGUF file, ${GGUF}`],
    ["x.bin", "PK\u0003\u0004....", "expected a checkpoint directory, got a zip archive, as PyTorch writes"],
    ["x.txt", "text", "expected a checkpoint directory, got a file"],
    ["empty", "", "expected a checkpoint directory, got an empty file"],
  ];
  for (const [name, content, got] of cases) {
    const path = dir.write(name, content);
    assertEquals(assertThrows(() => openCheckpoint(path), InputError).message, `${path}: ${got}`);
  }
  for (
    const [file, is] of [["manifests/x", "the store of Ollama"], ["y/model_index.json", "a pipeline of diffusers"]]
  ) {
    const root = `${dir.path}/${file === "manifests/x" ? "" : "y"}`;
    dir.write(file!, "{}");
    if (root.endsWith("y")) {
      const line = assertThrows(() => openCheckpoint(root), InputError).message;
      assertEquals(line, `${root}: expected a checkpoint in safetensors, got ${is}`);
    }
  }
  assertEquals(foreignNames(["manifests"]), "the store of Ollama");
  assertMatch(foreignNames(["model.safetensors", JOURNAL])!, /interrupted mxoss quantize/);
  assertEquals([foreignNames(["config.json", "model.safetensors", "tokenizer.json"]), foreignNames([])], [null, null]);
});

Deno.test("a header's length that begins as another tool's file does is a length", () => {
  using dir = new TemporaryDirectory();
  // 0x8b1f, the first bytes of a gzip archive, and 0x0280, those of a pickle.
  for (const length of [0x8b1f, 0x0280]) {
    const path = dir.write("model.safetensors", container(`{}${" ".repeat(length - 2)}`));
    assertEquals(openSafetensors(path).tensors.size, 0);
    assertEquals(foreignBytes(Deno.readFileSync(path)) === null, false);
  }
});
