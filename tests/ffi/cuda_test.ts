import { assert, assertEquals, assertStringIncludes, assertThrows } from "../assert.ts";
import { openCuda } from "../../ffi/cuda.ts";
import { CUDA_SYMBOLS } from "../../ffi/cuda_symbols.ts";
import { namesOf } from "../../ffi/symbols.ts";
import { CudaError } from "../../ffi/errors.ts";
import { buildCudaHost, buildProbe, withoutCompiler } from "../hip_host/build.ts";
import { HipHost } from "../hip_host/control.ts";
import { SOAK } from "../soak.ts";
import { COUNT, exercise } from "./exercise.ts";

const ignore = withoutCompiler();
/** Codes for which there is advice of each kind, with their names. */
const CODES = [
  [2, "CUDA_ERROR_OUT_OF_MEMORY"],
  [101, "CUDA_ERROR_INVALID_DEVICE"],
  [719, "CUDA_ERROR_LAUNCH_FAILED"],
  [999, "CUDA_ERROR_UNKNOWN"],
] as const;

Deno.test({ name: "openCuda() computes, records and replays on the test library", ignore }, () => {
  using host = new HipHost(buildCudaHost());
  host.configure({ devices: 2 });
  using runtime = openCuda(host.path);
  assertEquals(runtime.version, "12.8");
  assertEquals(runtime.properties(0), {
    index: 0,
    name: "mxoss test device",
    arch: "sm_100",
    features: "",
    totalBytes: 4 * 2 ** 30,
    multiprocessors: 4,
    waveSize: 32,
    sharedBytesPerBlock: 65_536,
  });
  const { values, counter } = exercise(runtime, buildProbe());
  assertEquals(values, Float32Array.from({ length: COUNT }, (_, i) => 2 * i + 0.5));
  assertEquals(counter, 6n);
  assertEquals(host.leaks(), "");
  const idle = namesOf(CUDA_SYMBOLS).filter((call) => call !== "cuGetErrorName" && host.calls(call) === 0);
  // What processes reach one another's memory by: see exported_test.ts.
  assertEquals(idle, ["cuIpcGetMemHandle", "cuIpcOpenMemHandle_v2", "cuIpcCloseMemHandle"]);
});

Deno.test({ name: "openCuda() turns a failure of any call into one line and leaks nothing", ignore }, () => {
  using host = new HipHost(buildCudaHost());
  const image = buildProbe();
  const releases = /Free|Destroy|Unload|Release/;
  const run = () => {
    using runtime = openCuda(host.path);
    exercise(runtime, image);
  };
  run();
  const calls = namesOf(CUDA_SYMBOLS).filter((call) => host.calls(call) > 0);
  const counts = new Map(calls.map((call) => [call, host.calls(call)]));
  assert(calls.length > 35, `${calls.length} calls`);
  let turn = 0;
  for (const [call, count] of counts) {
    for (let nth = 1; nth <= count; nth++) {
      // Outside a soak by turns.
      for (const [code, name] of SOAK ? CODES : [CODES[turn++ % CODES.length]!]) {
        host.reset();
        host.fail(call, nth, code);
        if (releases.test(call)) {
          run();
        } else {
          const error = assertThrows(run, CudaError);
          assertEquals([error.call, error.code, error.codeName], [call, code, name]);
          assertEquals(error.message.includes("\n"), false);
        }
        assertEquals(host.leaks(), "", `${call}, call ${nth}, code ${code}`);
      }
    }
  }
});

Deno.test({ name: "openCuda() quotes the first line of the compiler's complaint", ignore }, () => {
  using host = new HipHost(buildCudaHost());
  using runtime = openCuda(host.path);
  using device = runtime.open(0);
  const error = assertThrows(() => device.loadModule(new TextEncoder().encode(".version 9"), "rows.ptx"), CudaError);
  assertStringIncludes(
    error.message,
    "cuModuleLoadDataEx (rows.ptx: ptxas fatal: not a host code object): CUDA_ERROR_INVALID_IMAGE",
  );
  assertStringIncludes(error.message, "the kernels do not fit this GPU or driver");
});
