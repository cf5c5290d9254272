/**
 * The program on the GPU backend, as its users run it: with the test library for libamdhip64, whose kernels run on the
 * CPU. Matrix instructions have no twin there, so that whatever runs to its end runs in float32.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { buildHipHost, buildProbe, withoutCompiler } from "../hip_host/build.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { hostLibrary } from "../kernels/host_machine.ts";
import { dose, ONLY_SOAKED, SOAK } from "../soak.ts";
import { BrokenCheckpoint } from "./broken.ts";
import { inProcess } from "./in_process.ts";
import { type Finished, mxoss, program } from "./program.ts";

const ignore = withoutCompiler(), ignoreRuns = ignore || await withoutKernelCompiler();
/** More tokens than the kernels of few take at once; each takes the processor a tenth of a second. */
const QUESTION = "Wen has 14 peaches and Ben 8. How many?";

/** Tokens of an answer. */
const LENGTH = dose(6, 12);

/** The words that a run of the test library has on its command line, and its environment. */
async function onTestLibrary(settings: Readonly<Record<string, string>> = {}) {
  const env = { HIP_HOST_KERNELS: ignoreRuns ? "" : await hostLibrary(), ...settings };
  return { args: ["--backend", "hip", "--hip-library", buildHipHost()], env };
}

/** One line on stderr that says `what`, nothing on stdout. */
function assertFailed({ code, stdout, stderr }: Finished, what: RegExp, expected = 1): void {
  assertMatch(stderr, /^error: [^\n]+\n$/);
  assertMatch(stderr, what);
  assertEquals({ code, stdout }, { code: expected, stdout: "" });
}

/** Environment of the test library, what `generate` says, what `devices` says. */
const FAILURES: [what: string, env: Record<string, string>, line: RegExp, devices: RegExp][] = [
  [
    "there is no GPU",
    { HIP_HOST_DEVICES: "0" },
    /hipInit: hipErrorInvalidDevice, code 101; no usable GPU: .*`mxoss devices`/,
    /^hip: cannot be used\n {2}hipInit: hipErrorInvalidDevice/m,
  ],
  [
    "the architecture is not supported",
    { HIP_HOST_ARCH: "gfx803" },
    /is a gfx803, for which there are no kernels \(there are for gfx90a, gfx942/,
    /no kernels for gfx803: there are for gfx90a, gfx942/,
  ],
  [
    "the model does not fit",
    { HIP_HOST_MEMORY: "70000000" },
    new RegExp(
      String.raw`has 70 MB of 70 MB free, but the model needs [\d.]+ MB: weights 10\.9 MB, KV cache .*; ` +
        "a shorter context, fewer sequences or smaller chunks need less",
    ),
    /70 MB, 70 MB free/,
  ],
  [
    "an allocation fails",
    { HIP_HOST_FAIL: "hipMalloc:1:2" },
    /hipMalloc \(\d+ bytes\): hipErrorOutOfMemory, code 2; not enough GPU memory/,
    /kernels: gfx942/,
  ],
  [
    "a kernel fails",
    { HIP_HOST_FAIL: "kernel:30:719" },
    /: hipErrorLaunchFailure, code 719; a kernel failed on the device/,
    /kernels: gfx942/,
  ],
];

for (const [what, settings, line, devices] of FAILURES) {
  Deno.test({ name: `generate --backend hip says in one line that ${what}`, ignore: ignoreRuns }, async () => {
    const { args, env } = await onTestLibrary(settings);
    assertFailed(await mxoss([...args, "--dtype", "f32", "--max-tokens", "3", QUESTION], { env }), line);
    // Outside a soak only where the device is not as it should be.
    if (!SOAK && devices.source.includes("kernels:")) return;
    const found = await mxoss(["devices", "--hip-library", buildHipHost()], { env });
    assertEquals(found.code, 0);
    assertMatch(found.stdout, devices);
  });
}

Deno.test({ name: "generate --backend hip says in one line that the library is a wrong one", ignore }, async () => {
  const probe = /kernels (.*)\n/.exec(new TextDecoder().decode(buildProbe()))![1]!;
  const lines: [string, RegExp][] = [
    ["/nowhere/libamdhip64.so", /not found as \/nowhere\/libamdhip64\.so; install ROCm/],
    [new URL("../../README.md", import.meta.url).pathname, /README\.md: invalid ELF header; install ROCm/],
    [probe, /libprobe\.so: has no function hip\w+, expected ROCm 5\.2 or newer/],
  ];
  for (const [library, line] of lines) {
    assertFailed(await inProcess(["--backend", "hip", "--hip-library", library, QUESTION]), line);
    const { code, stdout } = await inProcess(["devices", "--hip-library", library]);
    assertEquals(code, 0);
    assertMatch(stdout, line);
  }
});

Deno.test({ name: "generate refuses more GPUs than ranks, and ranks whose GPU is not there", ignore }, async () => {
  const { args } = await onTestLibrary();
  const asked = (words: string) => inProcess([...args, ...words.split(" "), QUESTION]);
  const more = /--device: expected at most one for each of the 1 ranks of --tp and --ep, got 2/;
  assertFailed(await asked("--device 0,1"), more, 2);
  assertFailed(await asked("--device 0,0"), /--device: expected an integer .*, or several .*, got "0,0"/, 2);
  const own = `--collectives-library ${args.at(-1)}`;
  assertFailed(
    await asked(`--tp 2 --device 0,7 ${own}`),
    /^error: --backend=hip: device 7 was asked for, but there is 1/,
  );
  const missing = await asked("--tp 2 --device 0,1 --collectives-library /nowhere/librccl.so.1");
  assertFailed(missing, /^error: librccl \(RCCL\): not found as \/nowhere\/librccl\.so\.1; install RCCL, or name the /);
});

Deno.test({
  name: `ranks have a GPU each, or take turns on fewer, and --stats says which${ONLY_SOAKED}`,
  ignore: ignoreRuns || !SOAK,
}, async () => {
  for (const [devices, sums] of [["2", "sums by RCCL"], ["1", "in turns on 1 device, sums over the host's memory"]]) {
    const { args, env } = await onTestLibrary({ HIP_HOST_DEVICES: devices! }), library = args.at(-1)!;
    const ranks = ["--tp", "2", "--collectives-library", library, "--dtype", "f32", "--stats"];
    const two = await mxoss([...args, ...ranks, "--max-tokens", "3", QUESTION], { env });
    assertEquals(two.code, 0, two.stderr);
    assertStringIncludes(two.stderr, sums!);
    const one = await mxoss([...args, "--dtype", "f32", "--max-tokens", "3", QUESTION], { env });
    assertEquals(two.stdout, one.stdout);
  }
});

Deno.test({ name: "compare and eval compute on the GPU that --device names", ignore }, async () => {
  const { args, env } = await onTestLibrary();
  const text = ["--text", new URL("../../README.md", import.meta.url).pathname, "--limit", "2"];
  for (const command of [["compare"], ["eval", "perplexity"]]) {
    assertFailed(
      await mxoss([...command, ...text, ...args, "--device", "7"], { env }),
      /device 7 was asked for, but there is 1/,
    );
  }
});

Deno.test(
  { name: "generate --backend hip answers as emulate does, greedily and drawn", ignore: ignoreRuns },
  async () => {
    const { args, env } = await onTestLibrary();
    const common = ["--dtype", "f32", "--json", "--stats", "--max-tokens", `${LENGTH}`];
    const drawn = ["--temperature", "0.9", "--top-k", "30", "--top-p", "0.95", "--seed", "7"];
    // Greedy tokens of a GPU are seen below, and in tests/backends/gpu.
    for (const draw of dose([drawn], [[], drawn])) {
      const gpu = await mxoss([...args, ...common, ...draw, QUESTION], { env });
      const cpu = await inProcess([...common, ...draw, QUESTION]);
      assertEquals([gpu.code, cpu.code], [0, 0], gpu.stderr);
      const got = JSON.parse(gpu.stdout), expected = JSON.parse(cpu.stdout);
      for (const key of ["token_ids", "text", "finish_reason"]) assertEquals(got[key], expected[key], key);
      assertEquals(got.token_ids.length, LENGTH);
      assertMatch(
        gpu.stderr,
        /HIP 6\.2\.41134, device 0 mxoss test device \(gfx942\); float32 products, as the dtype is f32/,
      );
    }
  },
);

Deno.test(
  { name: `eval gsm8k --backend hip answers as emulate does${ONLY_SOAKED}`, ignore: ignoreRuns || !SOAK },
  async () => {
    const { args, env } = await onTestLibrary(), dirs = [0, 1, 2].map(() => Deno.makeTempDirSync());
    const data = new URL("../goldens/word-problems-harder.jsonl", import.meta.url).pathname;
    const asked = ["eval", "gsm8k", "--data", data, "--limit", "3", "--max-tokens", "7", "--dtype", "f32"];
    try {
      // As many at once as the device's memory allows, and two, so that places are taken again.
      const all = await mxoss([...asked, ...args, "--out", dirs[0]!], { env, writable: dirs[0]! });
      const few = ["--sequences", "2", "--out", dirs[1]!];
      const two = await mxoss([...asked, ...args, ...few], { env, writable: dirs[1]! });
      const cpu = await inProcess([...asked, "--out", dirs[2]!]);
      assertEquals([all.code, two.code, cpu.code], [0, 0, 0], all.stderr + two.stderr);
      const replies = dirs.map((dir) => {
        const name = [...Deno.readDirSync(dir)].find(({ name }) => name.startsWith("answers"))!.name;
        const lines = Deno.readTextFileSync(`${dir}/${name}`).trim().split("\n").slice(1).map((l) => JSON.parse(l));
        return lines.map(({ index, ids }) => [index, ids]).toSorted((a, b) => a[0] - b[0]);
      });
      assertEquals(replies[0]!.length, 3);
      for (const of of replies) assertEquals(of, replies[2]);
    } finally {
      for (const dir of dirs) Deno.removeSync(dir, { recursive: true });
    }
  },
);

Deno.test(
  { name: "generate --backend hip shows text as it comes and keeps it on Ctrl-C", ignore: ignoreRuns },
  async () => {
    const { args, env } = await onTestLibrary();
    using checkpoint = new BrokenCheckpoint();
    // <|constrain|>, which the model was never taught: it goes on without end.
    checkpoint.config((config) => config["eos_token_id"] = 1018);
    Deno.removeSync(checkpoint.path("generation_config.json"));
    const words = ["--model", checkpoint.dir, "--dtype", "f32", "--raw", "--max-tokens", "3000", "--stats", QUESTION];
    const child = program([...args, ...words], { env }).spawn();
    await child.stdin.close();
    const stderr = new Response(child.stderr).text(), pieces: string[] = [];
    let code = -1;
    for await (
      const piece of child.stdout.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
    ) {
      pieces.push(piece);
      if (pieces.length === 4) child.kill("SIGINT");
    }
    code = (await child.status).code;
    assertEquals(code, 130, await stderr);
    assert(pieces.length >= 4, `${pieces.length} pieces`);
    const [, decoded] = /; decode (\d+) tokens/.exec(await stderr) ?? [];
    assert(Number(decoded) < 2900, `${decoded} tokens`);
    assertMatch(
      await stderr,
      /; decode \d+ tokens, [\d.]+ tok\/s; cache \d+ of \d+ positions, \d+ of \d+ pages of 64, [\d.]+ MB; HIP /,
    );
  },
);
