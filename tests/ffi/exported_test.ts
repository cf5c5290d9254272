/** Memory of a device that another process reaches, on the test library. */
import { openCuda } from "../../ffi/cuda.ts";
import type { ExportedMemory, GpuDevice } from "../../ffi/runtime.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { buildCudaHost, withoutCompiler } from "../hip_host/build.ts";
import { HipHost } from "../hip_host/control.ts";

const ignore = withoutCompiler();

/** Runs exporting.ts. */
class Exporter implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;

  constructor(library: string) {
    const script = new URL("exporting.ts", import.meta.url).pathname;
    const args = ["run", "--no-check", "--allow-ffi", "--allow-read", "--unstable-ffi", script, library];
    const piped = { stdin: "piped", stdout: "piped" } as const, env = { HIP_HOST_DEVICES: "2" };
    this.#child = new Deno.Command(Deno.execPath(), { args, env, ...piped }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  async line(): Promise<unknown> {
    return JSON.parse((await this.#lines.read()).value!);
  }

  async now(): Promise<unknown> {
    await this.#writer.write(new TextEncoder().encode("?\n"));
    return await this.line();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close();
    await this.#lines.read();
    await this.#child.status;
  }
}

/** What a device reads there. */
function read(device: GpuDevice, from: Parameters<GpuDevice["share"]>[0]): number[] {
  using staging = device.allocatePinned(64), stream = device.createStream();
  stream.download(staging, 0, from, from.bytes);
  stream.synchronize();
  return [...new Int32Array(staging.view.buffer, 0, from.bytes / 4)];
}

Deno.test({
  name: "memory of another process's device is read and written, until it is let go of",
  ignore,
  fn: async () => {
    using host = new HipHost(buildCudaHost());
    host.configure({ devices: 2 });
    await using exporter = new Exporter(host.path);
    const said = await exporter.line() as { identity: string; allocation: string } & Omit<ExportedMemory, "allocation">;
    const memory = { ...said, allocation: Uint8Array.fromHex(said.allocation) };
    {
      using runtime = openCuda(host.path);
      using device = runtime.open(1);
      assertEquals(device.reachable(said.identity), 0);
      assertEquals(device.reachable(device.identity!), null);
      assertEquals(device.reachable("another machine's"), null);
      host.fail("cuIpcOpenMemHandle_v2", 1, 201);
      assertEquals(device.import(memory), null);
      const imported = device.import(memory)!;
      // An allocation of which several parts are offered is opened once.
      assertEquals(device.import({ ...memory, bytes: 4 })!.buffer, imported.buffer);
      assertEquals(host.calls("cuIpcOpenMemHandle_v2"), 2);
      assertEquals(read(device, imported), [1, 2, 3, 4]);
      using staging = device.allocatePinned(64), stream = device.createStream();
      new Int32Array(staging.view.buffer).set([9, 8]);
      stream.upload({ ...imported, bytes: 8 }, staging, 0, 8);
      stream.synchronize();
      assertEquals(await exporter.now(), [9, 8, 3, 4]);
      assertMatch(host.leaks(), /1 imported allocations$/);
      device.returnImported();
      assert(!host.leaks().includes("imported"));
    }
    assertEquals(host.leaks(), "");
  },
});

Deno.test({ name: "what a driver exports nothing of, or not this, is offered to no other process", ignore }, () => {
  using host = new HipHost(buildCudaHost());
  using runtime = openCuda(host.path);
  using device = runtime.open(0);
  using memory = device.allocate(1024);
  host.fail("cuIpcGetMemHandle", 1, 801);
  assertEquals(device.export(memory.range(0, 16)), null);
  // A process cannot open its own.
  assertEquals(device.import(device.export(memory.range(0, 16))!), null);
});
