import { canMap } from "../src/backends/emulate/load.ts";
import { keptBytes } from "../src/backends/emulate/kept_digits.ts";
import { openEmulate } from "../src/backends/emulate/open.ts";
import { openReference } from "../src/backends/reference/open.ts";
import { FailureError } from "../src/errors.ts";
import { type Available, availableFrom, availableMemory, openInTurn } from "../src/memory.ts";
import { openRanks } from "../src/parallel/ranked_engine.ts";
import { WASM_PAGE } from "../src/wasm.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "./assert.ts";
import { requestFor } from "./backends/gpu/opened.ts";
import { randomModel, testConfig } from "./backends/random_model.ts";

const LITTLE: Available = { bytes: 80e6, by: "a test" };
const GIB = 2 ** 30;

function available(files: Readonly<Record<string, string>>): Available | null {
  return availableFrom((path) => files[path] ?? null);
}

const MEMINFO = "MemTotal:       24684092 kB\nMemFree:         9000000 kB\nMemAvailable:    8388608 kB\n";

Deno.test("availableFrom() takes the least of the system's and the control groups' memory", () => {
  assertEquals(available({}), null);
  const system = { "/proc/meminfo": MEMINFO };
  assertEquals(available(system), { bytes: 8 * GIB, by: "MemAvailable of /proc/meminfo" });

  const version2 = {
    ...system,
    "/proc/self/cgroup": "0::/user.slice/run\n",
    "/sys/fs/cgroup/user.slice/run/memory.max": "max\n",
  };
  assertEquals(available(version2)?.bytes, 8 * GIB);
  const above = {
    ...version2,
    "/sys/fs/cgroup/user.slice/run/memory.current": "1\n",
    "/sys/fs/cgroup/user.slice/memory.max": `${4 * GIB}\n`,
    "/sys/fs/cgroup/user.slice/memory.current": `${3 * GIB}\n`,
    "/sys/fs/cgroup/user.slice/memory.stat": `anon 5\nfile 9\ninactive_file ${GIB}\nactive_file ${GIB / 2}\n`,
  };
  assertEquals(available(above), { bytes: 2.5 * GIB, by: "/sys/fs/cgroup/user.slice/memory.max" });

  const version1 = {
    ...system,
    "/proc/self/cgroup": "9:cpu,cpuacct:/x\n4:memory:/job\n0::/\n",
    "/sys/fs/cgroup/memory/job/memory.limit_in_bytes": `${2 * GIB}`,
    "/sys/fs/cgroup/memory/job/memory.usage_in_bytes": `${GIB}`,
    "/sys/fs/cgroup/memory/job/memory.stat": `total_inactive_file ${GIB / 2}\ninactive_file 7\n`,
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
    "/sys/fs/cgroup/memory/memory.usage_in_bytes": "5",
  };
  assertEquals(available(version1), { bytes: 1.5 * GIB, by: "/sys/fs/cgroup/memory/job/memory.limit_in_bytes" });
});

Deno.test({
  name: "availableMemory() knows what this machine has",
  ignore: Deno.build.os !== "linux",
  fn: () => {
    const { bytes } = availableMemory()!;
    assert(bytes > 0 && bytes <= Deno.systemMemoryInfo().total, `${bytes}`);
  },
});

Deno.test({
  name: "openInTurn() leaves what models that are open will take out of what the next may take, until all are",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { by, bytes } = availableMemory()!,
      none = { bytes: 0, by: `${by}, less 2 TB of other models' caches and activations` };
    const open = (cache: number) => Promise.resolve({ cache, ...availableMemory()! });
    const [first, second, third] = await openInTurn([bytes / 2, 2e12 - bytes / 2, 1], open, ({ cache }) => cache);
    assertEquals([first!.by, third], [by, { ...none, cache: 1 }]);
    // Others take and leave memory meanwhile.
    assert(second!.by !== by && second!.bytes < 0.75 * bytes, `${second!.bytes} of ${bytes}`);
    assertEquals(availableMemory()!.by, by);
    const refused = openInTurn(
      [2e12, 2],
      (one) => one === 2 ? Promise.reject(new Error("no")) : open(one),
      ({ cache }) => cache,
    );
    await assertRejects(() => refused, Error, "no");
    assertEquals(availableMemory()!.by, by);
  },
});

Deno.test("an open model says what it will write of memory, to the byte that is needed to open it", async () => {
  const table = { format: "bf16", scale: "none", transposed: false } as const;
  using model = randomModel(44, { config: testConfig({ vocab: 400, hidden: 96 }), table });
  const slots = 4,
    asked = requestFor(model, { slots }),
    reserve = 64 * 2 ** 20,
    pages = WASM_PAGE * Math.ceil(keptBytes(model.source.tree.head) / WASM_PAGE);
  const opened = {
    emulate: async (bytes: number) => {
      const engine = await openEmulate(asked, { threads: 1, weights: "read", available: { bytes, by: "a test" } });
      const { unwrittenBytes = 0, weightBytes } = engine.info;
      await engine.close();
      return { unwritten: unwrittenBytes, weights: weightBytes };
    },
    reference: async (bytes: number) => {
      const engine = await openReference(asked, { bytes, by: "a test" });
      await engine.close();
      return { unwritten: engine.info.unwrittenBytes ?? 0, weights: 0 };
    },
  };
  for (const open of [opened.emulate, opened.reference]) {
    // What is kept of the head is no need.
    const { unwritten, weights } = await open(2e12), digits = open === opened.emulate ? pages : 0;
    const least = unwritten - digits + weights + reserve;
    assertEquals(await open(least), { unwritten, weights });
    await assertRejects(() => open(least - 1), FailureError, "of memory can be had");
  }
  // Each rank has its own.
  const options = {
    sizes: { tp: 2, ep: 1 },
    threads: 2,
    weights: "read",
    available: { bytes: 2e12, by: "a test" },
  } as const;
  for (const backend of ["emulate", "reference"] as const) {
    const engine = await openRanks(asked, { ...options, backend });
    await engine.close();
    assert(engine.info.unwrittenBytes! > 0);
  }
});

Deno.test("ranks refuse together what memory cannot hold, by what the starting thread knows", async () => {
  using model = randomModel(42, { config: testConfig({}) });
  const request = requestFor(model, { slots: 400, context: 4096 });
  for (const backend of ["emulate", "reference"] as const) {
    const options = { sizes: { tp: 2, ep: 1 }, backend, threads: 2, weights: "read", available: LITTLE } as const;
    const { message } = await assertRejects(() => openRanks(request, options), FailureError);
    assertMatch(
      message,
      new RegExp(`^rank [01]: backend=${backend}: 80 MB of memory can be had \\(a test\\), but`),
    );
  }
});

Deno.test("emulate and reference refuse what memory cannot hold before they take any of it", async () => {
  const config = testConfig({});
  using model = randomModel(41, { config });
  const request = requestFor(model, { slots: 400, context: 4096 });
  const { Memory } = WebAssembly;
  let taken = 0;
  // The module is asked for its addresses over a memory of 2 MB.
  WebAssembly.Memory = class extends Memory {
    constructor(limits: WebAssembly.MemoryDescriptor) {
      if (limits.initial > 32) taken++;
      super(limits);
    }
  };
  try {
    for (const weights of ["map", "read"] as const) {
      const { message } = await assertRejects(
        () => openEmulate(request, { threads: 1, weights, available: LITTLE }),
        FailureError,
      );
      assertEquals(
        message.replaceAll(/[\d.]+ (kB|MB|GB)/g, "SIZE"),
        "backend=emulate: SIZE of memory can be had (a test), but the model needs SIZE: " +
          `${weights === "read" ? "weights SIZE, " : ""}KV cache SIZE for 400 x 4096 positions, activations SIZE; ` +
          `a shorter context, fewer sequences or smaller chunks need less${
            weights === "read" ? ", and so do mapped weights" : ""
          }`,
      );
    }
    const { message } = await assertRejects(() => openReference(request, LITTLE), FailureError);
    assertEquals(
      message.startsWith("backend=reference: 80 MB of memory can be had (a test), but the model needs "),
      true,
    );
    assertEquals(taken, 0);
  } finally {
    WebAssembly.Memory = Memory;
  }
});

Deno.test("a process of several counts the memory of its own ranks, not of those elsewhere", async () => {
  using model = randomModel(43, { config: testConfig({}) });
  const none: Available = { bytes: 0, by: "a test" };
  const needs = async (open: typeof openReference, size: number, here?: number) => {
    const communicator = { rank: 0, size, ...(here === undefined ? {} : { here }), allReduce: () => {} };
    const part = { vocabStart: 0, expertStart: 0, communicator };
    const { message } = await assertRejects(() => open({ ...requestFor(model), part }, none), FailureError);
    return /the model needs ([\d.]+ \w+)/.exec(message)![1];
  };
  const alone = async (open: typeof openReference) => {
    const asked = requestFor(model, { slots: 400, context: 64 });
    const { message } = await assertRejects(() => open(asked, none), FailureError);
    return /KV cache ([\d.]+ \w+) for 400 x 64 positions/.exec(message)![1];
  };
  const emulate =
    ((request, available) =>
      openEmulate(request, { threads: 1, weights: "read", available: available! })) as typeof openReference;
  for (const open of [emulate, openReference]) {
    assertEquals(await needs(open, 8, 2), await needs(open, 2));
    assert(await needs(open, 8) !== await needs(open, 2));
    // Keys and values of 128 float32 each: 64 positions of the full layer, of the sliding one its window and a batch.
    assertEquals(await alone(open), "44.2 MB", `${400 * (64 + 12 + 32) * 2 * 128 * 4}`);
  }
});

Deno.test({
  name: "weights are read where what several processes map would not fit, and what is read does",
  ignore: !canMap(),
  fn: async () => {
    using model = randomModel(44, { config: testConfig({}) });
    const request = requestFor(model), enough: Available = { bytes: 1e9, by: "a test" };
    for (const [mapped, how] of [[2e9, "read"], [1e8, "mapped"]] as const) {
      const backend = await openEmulate(request, { threads: 1, weights: "auto", mapped, available: enough });
      assertMatch(backend.info.description, new RegExp(`weights ${how}$`));
      backend.close();
    }
  },
});
