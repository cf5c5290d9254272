import { fileIn, openWeightFiles } from "../../src/checkpoint/files.ts";
import { TensorSet } from "../../src/checkpoint/tensor_set.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals } from "../assert.ts";
import { container, refusal, TemporaryDirectory } from "./container.ts";

/** A file with one byte tensor per name. */
function shard(...names: string[]): Uint8Array {
  const entries = names.map((name, i) => [name, { dtype: "U8", shape: [1], data_offsets: [i, i + 1] }]);
  return container(Object.fromEntries(entries), Uint8Array.from(names.keys()));
}

/** Two shards and their index. */
function sharded(weightMap: Record<string, unknown> = {}, metadata: unknown = { total_size: 3 }): TemporaryDirectory {
  const dir = new TemporaryDirectory();
  dir.write("model-00001-of-00002.safetensors", shard("a", "b"));
  dir.write("model-00002-of-00002.safetensors", shard("c"));
  dir.write("model.safetensors.index.json", {
    metadata,
    weight_map: {
      a: "model-00001-of-00002.safetensors",
      b: "model-00001-of-00002.safetensors",
      c: "model-00002-of-00002.safetensors",
      ...weightMap,
    },
  });
  return dir;
}

/** What opening gives, with paths relative to the directory. */
function opened({ path }: TemporaryDirectory) {
  const warnings: string[] = [];
  const { files, tensors } = openWeightFiles(path, (line) => warnings.push(line.replaceAll(`${path}/`, "")));
  return {
    files: files.map((file) => file.path.slice(path.length + 1)),
    tensors: [...tensors.values()].map(({ name, file }) => `${name} in ${file}`),
    warnings,
  };
}

const refused = (dir: TemporaryDirectory) => refusal(() => opened(dir), dir.path, InputError);

Deno.test("openWeightFiles() opens a single file", () => {
  using dir = new TemporaryDirectory();
  dir.write("model.safetensors", shard("a", "b"));
  assertEquals(opened(dir), { files: ["model.safetensors"], tensors: ["a in 0", "b in 0"], warnings: [] });
});

Deno.test("openWeightFiles() opens the shards of an index", () => {
  using dir = sharded();
  dir.write("other.safetensors", "not looked at");
  assertEquals(opened(dir), {
    files: ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
    tensors: ["a in 0", "b in 0", "c in 1"],
    warnings: [],
  });
});

Deno.test("what is wrong with a tensor is said of its own shard, and of the directory where it is in none", () => {
  using dir = sharded();
  const tensors = new TensorSet(openWeightFiles(dir.path, () => {}), dir.path);
  const take = (name: string) => refusal(() => tensors.take(name, ["F32"], [1]), dir.path, InputError);
  assertEquals(take("c"), "model-00002-of-00002.safetensors: tensor c: expected F32 [1], got U8 [1]");
  assertEquals(take("d"), `${dir.path}: tensor d: expected F32 [1], got nothing`);
  assertEquals(tensors.unused(), ["a", "b"]);
});

Deno.test("openWeightFiles() opens all safetensors files where there is no index", () => {
  using dir = new TemporaryDirectory();
  dir.write("model--00002-of-00002.safetensors", shard("c"));
  dir.write("model--00001-of-00002.safetensors", shard("a", "b"));
  dir.write(".model.safetensors", "left by a file system");
  assertEquals(opened(dir).tensors, ["a in 0", "b in 0", "c in 1"]);
});

Deno.test("openWeightFiles() refuses a single file beside an index of others, of which readers take either", () => {
  using dir = sharded();
  dir.write("model.safetensors", shard("z"));
  assertEquals(
    refused(dir),
    "model.safetensors.index.json: weight_map.a: expected model.safetensors, which is there too, got " +
      '"model-00001-of-00002.safetensors"',
  );
  const index = (weight_map: unknown) => dir.write("model.safetensors.index.json", { weight_map });
  index({ z: "model.safetensors", y: "other\n.safetensors" });
  assertEquals(
    refused(dir),
    "model.safetensors.index.json: weight_map.y: expected model.safetensors, which is there too, got " +
      '"other\\u000a.safetensors"',
  );
  index({ z: "model.safetensors" });
  assertEquals(opened(dir), { files: ["model.safetensors"], tensors: ["z in 0"], warnings: [] });
  index({ z: "model.safetensors", y: "model.safetensors" });
  assertEquals(
    refused(dir),
    "model.safetensors.index.json: expected tensor y in model.safetensors, found it in no shard",
  );
});

Deno.test("openWeightFiles() warns of a wrong total_size and of tensors that the index lacks", () => {
  using dir = sharded({ c: undefined }, { total_size: 4 });
  assertEquals(opened(dir), {
    files: ["model-00001-of-00002.safetensors"],
    tensors: ["a in 0", "b in 0"],
    warnings: ["model.safetensors.index.json: total_size: expected 2, the bytes of all tensors, got 4"],
  });
  using lacking = sharded({ b: undefined });
  assertEquals(opened(lacking).warnings, [
    "model.safetensors.index.json: weight_map lacks 1 of the tensors that its shards hold",
  ]);
  for (const metadata of [undefined, null, {}, { total_size: null }]) {
    using silent = sharded({}, metadata);
    assertEquals(opened(silent).warnings, []);
  }
});

Deno.test("openWeightFiles() refuses a missing shard", () => {
  using dir = sharded();
  Deno.removeSync(`${dir.path}/model-00002-of-00002.safetensors`);
  assertEquals(
    refused(dir),
    "model.safetensors.index.json: expected shard model-00002-of-00002.safetensors beside it, got no such file",
  );
});

Deno.test("openWeightFiles() refuses shard names that leave the directory", () => {
  for (
    const name of [
      "../model.safetensors",
      "/etc/passwd",
      "..",
      ".",
      "",
      "sub/x.safetensors",
      "..\\x.safetensors",
      "C:x",
      "a\nb",
    ]
  ) {
    using dir = sharded({ d: name });
    assertEquals(
      refused(dir),
      `model.safetensors.index.json: expected shards to be files of this directory, got "${
        name.replace("\n", "\\u000a")
      }"`,
    );
  }
});

Deno.test("openWeightFiles() refuses an index that contradicts the shards", () => {
  using other = sharded({ c: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" });
  assertEquals(
    refused(other),
    "model.safetensors.index.json: expected tensor b in model-00002-of-00002.safetensors, found it in " +
      "model-00001-of-00002.safetensors",
  );
  using missing = sharded({ d: "model-00002-of-00002.safetensors" });
  assertEquals(
    refused(missing),
    "model.safetensors.index.json: expected tensor d in model-00002-of-00002.safetensors, found it in no shard",
  );
});

Deno.test("openWeightFiles() refuses a tensor that stands in two files", () => {
  using dir = sharded();
  dir.write("model-00002-of-00002.safetensors", shard("c", "a"));
  assertEquals(
    refused(dir).replace(dir.path, "DIR"),
    "DIR: tensor a stands in two files, model-00001-of-00002.safetensors and model-00002-of-00002.safetensors",
  );
});

Deno.test("openWeightFiles() refuses an index that is none", () => {
  const cases: [content: string, line: string][] = [
    ["{", "not JSON: Expected property name or '}' in JSON at position 1 (line 1 column 2)"],
    ["[]", "expected an object, got an array of 0"],
    ["{}", "weight_map: expected an object from tensors to shards, got nothing"],
    ['{"weight_map":{}}', "weight_map: expected tensors, got none"],
    ['{"weight_map":{"a":1}}', "weight_map.a: expected a shard's file name, got 1"],
    ['{"weight_map":{"a":"x"},"metadata":3}', "metadata: expected an object, got 3"],
  ];
  for (const [content, line] of cases) {
    using dir = new TemporaryDirectory();
    dir.write("model.safetensors.index.json", content);
    assertEquals(refused(dir), `model.safetensors.index.json: ${line}`);
  }
  using binary = new TemporaryDirectory();
  binary.write("model.safetensors.index.json", Uint8Array.of(0x22, 0xff, 0x22));
  assertEquals(refused(binary), "model.safetensors.index.json: expected UTF-8, got other bytes");
});

Deno.test("openWeightFiles() refuses a directory without weights", () => {
  using dir = new TemporaryDirectory();
  dir.write("pytorch_model.bin", "");
  assertEquals(
    refused(dir).replace(dir.path, "DIR"),
    "DIR: expected model.safetensors, model.safetensors.index.json or other *.safetensors files, " +
      "got weights of PyTorch, not safetensors",
  );
});

Deno.test("fileIn() follows the links of a Hugging Face cache and no others", () => {
  using dir = new TemporaryDirectory();
  const hash = "0123456789abcdef0123456789abcdef01234567".padEnd(64, "8");
  dir.write(`blobs/${hash}`, shard("a"));
  dir.write(`blobs/${hash.slice(0, 40)}`, "{}");
  dir.write("snapshots/main/original/config.json", "{}");
  const snapshot = `${dir.path}/snapshots/main`;
  const link = (target: string, name: string) => {
    Deno.symlinkSync(target, `${snapshot}/${name}`);
    return name;
  };
  const read = (name: string) => fileIn(snapshot, name)?.slice(snapshot.length + 1);
  assertEquals(read(link(`../../blobs/${hash}`, "model.safetensors")), "model.safetensors");
  assertEquals(read(link(`../../blobs/${hash.slice(0, 40)}`, "config.json")), "config.json");
  link(`../../../blobs/${hash}`, "original/model.safetensors");
  assertEquals(openWeightFiles(`${snapshot}/original`, () => {}).tensors.has("a"), true);
  assertEquals(read("nothing"), undefined);
  assertEquals(openWeightFiles(snapshot, () => {}).tensors.has("a"), true);

  const refusedLink = (target: string) => {
    Deno.symlinkSync(target, `${snapshot}/bad`);
    const line = refusal(() => read("bad"), snapshot, InputError);
    Deno.removeSync(`${snapshot}/bad`);
    return line;
  };
  for (
    const target of [
      `${dir.path}/blobs/${hash}`,
      "../../blobs/../secret",
      `../../blobs/${hash}/x`,
      "config.json",
      `../blobs/${hash}`,
    ]
  ) {
    assertEquals(
      refusedLink(target),
      `bad: expected a file, or a link ../../blobs/<hash> as in a Hugging Face cache, got a link to ${target}`,
    );
  }
  const absent = "f".repeat(64);
  assertEquals(
    refusedLink(`../../blobs/${absent}`),
    `bad: expected its link ../../blobs/${absent} to lead to a file, got none`,
  );
  // A blob that is a link itself could lead anywhere.
  Deno.symlinkSync("/etc/passwd", `${dir.path}/blobs/${absent}`);
  assertEquals(
    refusedLink(`../../blobs/${absent}`),
    `bad: expected its link ../../blobs/${absent} to lead to a file, got none`,
  );
  Deno.mkdirSync(`${snapshot}/sub`);
  assertEquals(refusal(() => read("sub"), snapshot, InputError), "sub: expected a file, got a directory");
});
