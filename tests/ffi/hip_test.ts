import { assert, assertEquals, assertStringIncludes, assertThrows } from "../assert.ts";
import { HipError } from "../../ffi/errors.ts";
import { findArchitecture, hipCandidates, openHip } from "../../ffi/hip.ts";
import type { PackedArguments } from "../../ffi/arguments.ts";
import { HIP_SYMBOLS } from "../../ffi/hip_symbols.ts";
import { namesOf } from "../../ffi/symbols.ts";
import { collectGarbage } from "../../src/bench/garbage.ts";
import { buildHipHost, buildProbe, withoutCompiler } from "../hip_host/build.ts";
import { HipHost } from "../hip_host/control.ts";
import { dose, SOAK } from "../soak.ts";
import { withVariables } from "../variables.ts";
import { COUNT, exercise } from "./exercise.ts";

const ignore = withoutCompiler();
/** Every code that the test library has a name for, and one without. */
const CODES = [1, 2, 3, 9, 100, 101, 200, 209, 400, 500, 600, 700, 719, 900, 903, 999] as const;

Deno.test({ name: "openHip() computes, records and replays on the test library", ignore }, () => {
  using host = new HipHost(buildHipHost());
  using runtime = openHip(host.path);
  const { values, counter, milliseconds } = exercise(runtime, buildProbe());
  assertEquals(values, Float32Array.from({ length: COUNT }, (_, i) => 2 * i + 0.5));
  assertEquals(counter, 6n);
  assert(milliseconds >= 0);
  assertEquals(host.leaks(), "");
});

Deno.test({ name: "openHip() calls every function of its symbol table", ignore }, () => {
  using host = new HipHost(buildHipHost());
  using runtime = openHip(host.path);
  exercise(runtime, buildProbe());
  // The names of errors are not counted, and the properties of ROCm 5 are not asked for where those of ROCm 6 are
  // there.
  const exempt = ["hipGetErrorName", "hipGetDeviceProperties"];
  const idle = namesOf(HIP_SYMBOLS).filter((call) => !exempt.includes(call) && host.calls(call) === 0);
  assertEquals(idle, []);
});

Deno.test({ name: "openHip() turns a failure of any call into one line and leaks nothing", ignore }, () => {
  using host = new HipHost(buildHipHost());
  const image = buildProbe();
  const releases = /Free$|Destroy$|Unload$/;
  const run = () => {
    using runtime = openHip(host.path);
    exercise(runtime, image);
  };
  run();
  const calls = [...namesOf(HIP_SYMBOLS), "kernel"].filter((call) => host.calls(call) > 0);
  const counts = new Map(calls.map((call) => [call, host.calls(call)]));
  assert(calls.length > 35, `${calls.length} calls`);
  let injected = 0;
  for (const [call, count] of counts) {
    for (let nth = 1; nth <= count; nth++) {
      // Outside a soak an eighth of them, by turns.
      const turn = injected % 8;
      for (const code of CODES.filter((_, i) => SOAK || i % 8 === turn)) {
        // "Not ready" is no failure where it is asked whether an event has passed.
        if (code === 600 && (call === "hipEventQuery" || call === "kernel")) continue;
        host.reset();
        host.fail(call, nth, code);
        if (releases.test(call)) {
          // A release that fails is noted by the device and hides nothing.
          run();
        } else {
          const error = assertThrows(run, HipError, undefined, `${call}, call ${nth}, code ${code}`);
          if (call !== "kernel") assertStringIncludes(error.message, `${call}`);
          assertEquals(error.code, code);
          assertEquals(error.message.includes("\n"), false);
          assertEquals(error.exitCode, 1);
        }
        assertEquals(host.leaks(), "", `${call}, call ${nth}, code ${code}`);
        injected++;
      }
    }
  }
  assert(injected > dose(110, 900), `${injected} failures`);
});

Deno.test({ name: "openHip() reads the properties of ROCm 5 and of ROCm 6", ignore }, () => {
  for (const rocm5 of [false, true]) {
    using host = new HipHost(buildHipHost({ rocm5 }));
    host.configure({ arch: "gfx90a:sramecc+:xnack-", devices: 2, memory: 2 ** 30 });
    using runtime = openHip(host.path);
    assertEquals(runtime.deviceCount(), 2);
    assertEquals(runtime.version, "6.2.41134");
    assertEquals(runtime.properties(1), {
      index: 1,
      name: "mxoss test device",
      arch: "gfx90a",
      features: ":sramecc+:xnack-",
      totalBytes: 2 ** 30,
      multiprocessors: 4,
      waveSize: 64,
      sharedBytesPerBlock: 65_536,
    });
    assertEquals(host.calls("hipGetDeviceProperties"), rocm5 ? 1 : 0);
  }
});

Deno.test({ name: "openHip() says what to do without a device", ignore }, () => {
  using host = new HipHost(buildHipHost());
  host.configure({ devices: 0 });
  const error = assertThrows(() => openHip(host.path), HipError);
  assertEquals(error.call, "hipInit");
  assertEquals(error.codeName, "hipErrorInvalidDevice");
  assertStringIncludes(error.message, "no usable GPU");
});

Deno.test({ name: "GpuRuntime.open() refuses a device that is not there", ignore }, () => {
  using host = new HipHost(buildHipHost());
  using runtime = openHip(host.path);
  assertThrows(() => runtime.open(1), Error, "backend=hip: device 1 was asked for, but there is 1");
});

Deno.test({ name: "GpuDevice.allocate() says how much was asked for when memory runs out", ignore }, () => {
  using host = new HipHost(buildHipHost());
  host.configure({ memory: 1_000_000 });
  using runtime = openHip(host.path);
  using device = runtime.open(0);
  using _first = device.allocate(600_000);
  assertEquals(device.memory(), { freeBytes: 400_000, totalBytes: 1_000_000 });
  const error = assertThrows(() => device.allocate(600_000), HipError);
  assertEquals(error.code, 2);
  assertEquals(
    error.message,
    "hipMalloc (600000 bytes): hipErrorOutOfMemory, code 2; not enough GPU memory: a shorter context, smaller " +
      "chunks, fewer sequences at once or a smaller model need less",
  );
});

Deno.test({ name: "GpuDevice[Symbol.dispose]() gives back what its owners forgot", ignore }, () => {
  using host = new HipHost(buildHipHost());
  using runtime = openHip(host.path);
  const device = runtime.open(0);
  const buffer = device.allocate(100);
  const pinned = device.allocatePinned(100);
  device.createStream();
  device.createEvent();
  device.loadModule(buildProbe(), "probe");
  assertEquals(host.leaks(), "1 device memory, 1 pinned memory, 1 streams, 1 events, 1 modules");
  device[Symbol.dispose]();
  assertEquals(host.leaks(), "");
  assertEquals(device.releaseFailures, []);
  // Disposing again is harmless, and what was given back cannot be used.
  buffer[Symbol.dispose]();
  device[Symbol.dispose]();
  assertEquals(pinned.view.length, 0);
  assertThrows(() => device.createArguments().pointer(buffer.range()), Error, "after the buffer was freed");
});

Deno.test({ name: "GpuDevice keeps the failures of releases", ignore }, () => {
  using host = new HipHost(buildHipHost());
  using runtime = openHip(host.path);
  using device = runtime.open(0);
  const buffer = device.allocate(100);
  host.fail("hipFree", 1, 999);
  buffer[Symbol.dispose]();
  assertEquals(device.releaseFailures.length, 1);
  assertStringIncludes(device.releaseFailures[0]!, "hipFree: hipErrorUnknown, code 999");
});

Deno.test({ name: "Stream.capture() leaves capture mode when the recording throws", ignore }, () => {
  using host = new HipHost(buildHipHost());
  using runtime = openHip(host.path);
  using device = runtime.open(0);
  using stream = device.createStream();
  assertThrows(() => stream.capture(() => device.allocate(1)), HipError, "hipErrorStreamCaptureUnsupported");
  using graph = stream.capture(() => {});
  assertEquals(graph.nodes, 0);
  stream.synchronize();
});

Deno.test({ name: "Stream.upload() refuses ranges that do not fit", ignore }, () => {
  using host = new HipHost(buildHipHost());
  using runtime = openHip(host.path);
  using device = runtime.open(0);
  using stream = device.createStream();
  using buffer = device.allocate(100);
  using pinned = device.allocatePinned(100);
  assertThrows(() => buffer.range(50, 51), RangeError);
  assertThrows(() => stream.upload(buffer.range(50), pinned, 0, 51), RangeError);
  assertThrows(() => stream.upload(buffer.range(), pinned, 50, 51), RangeError);
});

Deno.test("hipCandidates() tries ROCM_PATH, loader names, then usual folders; or one explicit library", () => {
  const variables: Record<string, string> = { ROCM_PATH: "/somewhere/rocm" };
  using _variables = withVariables(variables);
  const candidates = hipCandidates();
  assertEquals(candidates.slice(0, 5), [
    "/somewhere/rocm/lib/libamdhip64.so",
    "libamdhip64.so",
    "libamdhip64.so.7",
    "libamdhip64.so.6",
    "libamdhip64.so.5",
  ]);
  assert(candidates.includes("/opt/rocm/lib/libamdhip64.so"));
  assertEquals(hipCandidates("./mine.so"), ["./mine.so"]);
  assertEquals(hipCandidates("mine.so"), ["mine.so", "./mine.so"]);
  variables["HIP_PATH"] = "/elsewhere";
  assertEquals(hipCandidates()[1], "/elsewhere/lib/libamdhip64.so");
});

Deno.test({ name: "records stay in memory where waiting for their copy failed", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using runtime = openHip(host.path);
  using device = runtime.open(0);
  using memory = device.allocate(4096), stream = device.createStream();
  const upload = () => {
    const records = device.createArguments();
    for (let i = 0; i < 256; i++) records.i64(i);
    const source = new WeakRef((records as PackedArguments).contents().buffer);
    let failed = false;
    try {
      stream.uploadRecords(memory.range(), records);
    } catch {
      failed = true;
    }
    return { source, failed };
  };
  const first = upload();
  host.fail("hipStreamSynchronize", 1, 2);
  const second = upload();
  assertEquals([first.failed, second.failed], [false, true]);
  await collectGarbage();
  // The device may still read the second one.
  assertEquals([first.source.deref() === undefined, second.source.deref() === undefined], [true, false]);
});

Deno.test("findArchitecture() finds the name after the device's own name", () => {
  const structure = (name: string, at: number, arch: string) => {
    const bytes = new Uint8Array(2048);
    bytes.set(new TextEncoder().encode(name));
    bytes.set(new TextEncoder().encode(arch), at);
    return bytes;
  };
  assertEquals(findArchitecture(structure("AMD Instinct MI300X", 1160, "gfx942:sramecc+:xnack-")), {
    arch: "gfx942",
    features: ":sramecc+:xnack-",
  });
  assertEquals(findArchitecture(structure("gfx90c", 396, "gfx90c:xnack-")), { arch: "gfx90c", features: ":xnack-" });
  assertEquals(findArchitecture(structure("Radeon", 1160, "gfx1201")), { arch: "gfx1201", features: "" });
  assertThrows(() => findArchitecture(structure("Radeon", 1160, "fiji")), Error, "names no gfx architecture");
});
