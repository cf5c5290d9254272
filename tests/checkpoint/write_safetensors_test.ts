import { SafetensorsWriter, type WrittenTensor } from "../../src/checkpoint/write_safetensors.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import { readGolden } from "../golden.ts";

/** Runs with a path in an empty directory; checks that no temporary file is left there. */
function withPath(use: (path: string) => void): void {
  const dir = Deno.makeTempDirSync();
  try {
    use(`${dir}/out.safetensors`);
    assertEquals([...Deno.readDirSync(dir)].map((entry) => entry.name).filter((name) => name.endsWith(".partial")), []);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

Deno.test("SafetensorsWriter writes what was appended in turns", () =>
  withPath((path) => {
    {
      using writer = SafetensorsWriter.create(path, [
        { name: "bytes", dtype: "U8", shape: [3] },
        { name: "ids", dtype: "I32", shape: [2] },
        { name: "logits", dtype: "F32", shape: [2, 2] },
      ]);
      writer.append("logits", Float32Array.of(1, -0.5));
      writer.append("bytes", Uint8Array.of(1, 2, 255));
      writer.append("ids", Int32Array.of(-7, 8));
      writer.append("logits", Float32Array.of(Infinity, 1e-40));
      writer.commit();
    }
    const tensors = readGolden(`file://${path}`);
    assertEquals(tensors.get("logits"), { shape: [2, 2], data: Float32Array.of(1, -0.5, Infinity, 1e-40) });
    assertEquals(tensors.get("ids"), { shape: [2], data: Int32Array.of(-7, 8) });
    assertEquals(tensors.get("bytes"), { shape: [3], data: Uint8Array.of(1, 2, 255) });
  }));

Deno.test("SafetensorsWriter aligns the data and every tensor in it, without holes", () =>
  withPath((path) => {
    {
      using writer = SafetensorsWriter.create(path, [
        { name: "a", dtype: "U8", shape: [1] },
        { name: "b", dtype: "F32", shape: [1] },
        { name: "c", dtype: "BF16", shape: [1] },
      ], { metadata: { format: "pt" } });
      writer.append("a", new Uint8Array(1));
      writer.append("b", new Float32Array(1));
      writer.append("c", new Uint16Array(1));
      writer.commit();
    }
    const bytes = Deno.readFileSync(path);
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    assertEquals(length % 8, 0);
    assertEquals(bytes.length, 8 + length + 7);
    assertEquals(JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))), {
      __metadata__: { format: "pt" },
      b: { dtype: "F32", shape: [1], data_offsets: [0, 4] },
      c: { dtype: "BF16", shape: [1], data_offsets: [4, 6] },
      a: { dtype: "U8", shape: [1], data_offsets: [6, 7] },
    });
  }));

Deno.test("SafetensorsWriter leaves nothing behind when it is not committed", () =>
  withPath((path) => {
    {
      using writer = SafetensorsWriter.create(path, [{ name: "a", dtype: "U8", shape: [2] }]);
      writer.append("a", new Uint8Array(1));
      assertThrows(() => writer.commit(), RangeError, "1 bytes written, 2 declared");
      assertThrows(() => writer.append("a", new Uint8Array(2)), RangeError, "1 bytes more");
      assertThrows(() => writer.append("b", new Uint8Array(1)), RangeError, "tensor b");
    }
    assertThrows(() => Deno.statSync(path), Deno.errors.NotFound);
  }));

Deno.test("SafetensorsWriter replaces a file only with force", () =>
  withPath((path) => {
    Deno.writeTextFileSync(path, "precious");
    const tensors = [{ name: "a", dtype: "U8", shape: [1] }] as const;
    assertThrows(() => SafetensorsWriter.create(path, tensors), InputError, "force replaces it");
    assertEquals(Deno.readTextFileSync(path), "precious");
    {
      using writer = SafetensorsWriter.create(path, tensors, { force: true });
      writer.append("a", new Uint8Array(1));
      assertEquals(Deno.readTextFileSync(path), "precious");
      writer.commit();
    }
    assertEquals(readGolden(`file://${path}`).get("a")!.shape, [1]);
  }));

Deno.test("SafetensorsWriter refuses a directory and a directory that is not there", () =>
  withPath((path) => {
    const dir = path.slice(0, path.lastIndexOf("/"));
    assertThrows(() => SafetensorsWriter.create(dir, []), InputError, "got a directory");
    assertThrows(() => SafetensorsWriter.create(`${dir}/no/x`, []), InputError, "cannot be written");
  }));

Deno.test("SafetensorsWriter writes tensors of any name, and refuses what its header cannot say", () =>
  withPath((path) => {
    const one = (name: string) => ({ name, dtype: "U8" as const, shape: [1] });
    const names = ["__proto__", "constructor", "7", ""];
    {
      using writer = SafetensorsWriter.create(path, names.map(one));
      names.forEach((name, i) => writer.append(name, Uint8Array.of(i)));
      writer.commit();
    }
    assertEquals(new Set(openSafetensors(path).tensors.keys()), new Set(names));
    const refused = (tensors: readonly WrittenTensor[], message: string) =>
      assertThrows(
        () => SafetensorsWriter.create(`${path}.other`, tensors, { metadata: { a: "b" } }),
        RangeError,
        message,
      );
    refused([one("a"), one("b"), one("a")], "tensor a: declared twice");
    refused([one("__metadata__")], "tensor __metadata__: the name of the header's texts");
    refused([{ ...one("a"), shape: [2, 0.5] }], "tensor a: [2, 0.5] is no shape");
    refused([{ ...one("a"), shape: [-1, -1] }], "tensor a: [-1, -1] is no shape");
  }));
