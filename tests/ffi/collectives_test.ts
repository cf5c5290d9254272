/** NCCL and RCCL through FFI: on the test library, and the real ones as far as they go without a GPU. */
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { CollectiveError, collectivesCandidates, openCollectives } from "../../ffi/collectives.ts";
import { COLLECTIVES_SYMBOLS } from "../../ffi/collectives_symbols.ts";
import { GpuLibraryError } from "../../ffi/errors.ts";
import { openHip } from "../../ffi/hip.ts";
import { namesOf } from "../../ffi/symbols.ts";
import { buildHipHost, withoutCompiler } from "../hip_host/build.ts";
import { HipHost } from "../hip_host/control.ts";
import { SOAK } from "../soak.ts";
import { withVariables } from "../variables.ts";

const ignore = withoutCompiler();
/** Codes of ncclResult_t, with the header's names. */
const CODES = [
  [1, "ncclUnhandledCudaError"],
  [2, "ncclSystemError"],
  [3, "ncclInternalError"],
  [6, "ncclRemoteError"],
] as const;

/** Uses every function: a group of one rank. Returns what came of 4 numbers. */
function exercise(path: string): Float32Array {
  using runtime = openHip(path);
  using device = runtime.open(0);
  using stream = device.createStream();
  using library = openCollectives("hip", path);
  using group = library.join(stream, library.createUniqueId(), 1, 0);
  using pinned = device.allocatePinned(16);
  using memory = device.allocate(1024);
  const [a, b] = [memory.range(0, 16), memory.range(256, 16)];
  new Float32Array(pinned.view.buffer).set([1, 2, 3, 4]);
  stream.upload(a, pinned, 0, 16);
  group.together(() => group.allGather(b, a, 16));
  using graph = stream.capture(() => group.allGather(a, b, 16));
  stream.replay(graph);
  stream.download(pinned, 0, a, 16);
  stream.synchronize();
  group.check();
  const result = new Float32Array(pinned.view.slice().buffer);
  using second = library.join(stream, library.createUniqueId(), 1, 0);
  second.abort();
  return result;
}

Deno.test({ name: "collective operations are queued, recorded and replayed on the test library", ignore }, () => {
  using host = new HipHost(buildHipHost());
  assertEquals(exercise(host.path), Float32Array.of(1, 2, 3, 4));
  assertEquals(host.leaks(), "");
  const idle = namesOf(COLLECTIVES_SYMBOLS).filter((call) => !/Error(String)?$/.test(call) && host.calls(call) === 0);
  assertEquals(idle, []);
});

Deno.test({ name: "every failure of a collective call is one line with the library's last error", ignore }, () => {
  using host = new HipHost(buildHipHost());
  exercise(host.path);
  const calls = namesOf(COLLECTIVES_SYMBOLS).filter((call) => host.calls(call) > 0);
  const counts = new Map(calls.map((call) => [call, host.calls(call)]));
  assert(calls.length >= 9, `${calls.length} calls`);
  let turn = 0;
  for (const [call, count] of counts) {
    for (let nth = 1; nth <= count; nth++) {
      for (const [code, name] of SOAK ? CODES : [CODES[turn++ % CODES.length]!]) {
        host.reset();
        host.fail(call, nth, code);
        // What gives something back does not throw.
        if (/Destroy|Abort/.test(call)) exercise(host.path);
        else {
          const error = assertThrows(() => exercise(host.path), CollectiveError);
          assertEquals([error.call, error.code, error.codeName], [call, code, name]);
          assertMatch(error.message, new RegExp(`^${call}: ${name}, code ${code}, [^\\n]+: ${call} was told to fail$`));
        }
        assertEquals(host.leaks(), "", `${call}, call ${nth}, code ${code}`);
      }
    }
  }
});

Deno.test({ name: "openCollectives() refuses a library that is too old, or none", ignore }, () => {
  const path = buildHipHost();
  {
    using host = new HipHost(path);
    host.collectivesVersion(2708);
    const error = assertThrows(() => openCollectives("cuda", path), GpuLibraryError);
    assertEquals([error.why, error.message], ["version", `${path}: is version 2.7.8, expected 2.9 or newer`]);
  }
  const missing = assertThrows(() => openCollectives("cuda", "/nowhere/libnccl.so.2"), GpuLibraryError);
  assertMatch(missing.message, /^libnccl \(NCCL\): not found as \/nowhere\/libnccl\.so\.2; install NCCL, or name /);
  const other = new URL("../../README.md", import.meta.url).pathname;
  assertMatch(assertThrows(() => openCollectives("hip", other), GpuLibraryError).message, /^librccl \(RCCL\): /);
});

Deno.test("collectivesCandidates() tries the environment, the loader's names, or one explicit library", () => {
  using _variables = withVariables({ NCCL_HOME: "/n" });
  assertEquals(collectivesCandidates("cuda"), ["/n/lib/libnccl.so.2", "libnccl.so.2"]);
  assert(collectivesCandidates("hip").includes("/opt/rocm/lib/librccl.so.1"));
  assertEquals(collectivesCandidates("cuda", "x.so"), ["x.so", "./x.so"]);
});

/** Where the real libraries are, if anywhere: NCCL's package of PyPI in MXOSS_NCCL, or what the loader finds. */
const REAL = [["cuda", Deno.env.get("MXOSS_NCCL")], ["hip", Deno.env.get("MXOSS_RCCL")]] as const;

for (const [kind, path] of REAL) {
  const name = kind === "cuda" ? "NCCL" : "RCCL";
  let problem: string | null = SOAK ? null : "only in a soak";
  if (SOAK) {
    try {
      openCollectives(kind, path)[Symbol.dispose]();
    } catch (thrown) {
      problem = (thrown as Error).message;
    }
  }
  Deno.test({
    name: `${name}'s own library has every function, a version and unique ids${
      problem ? ` (skipped: ${problem})` : ""
    }`,
    ignore: problem !== null,
    fn: () => {
      using library = openCollectives(kind, path);
      assertMatch(library.version, /^2\.\d+\.\d+$/);
      const [a, b] = [library.createUniqueId(), library.createUniqueId()];
      assert(a.some((byte) => byte !== 0) && a.some((byte, i) => byte !== b[i]));
    },
  });
}
