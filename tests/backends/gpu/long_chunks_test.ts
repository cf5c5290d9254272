/** A long prompt in one chunk, beside the same in short ones: no kernel, and no memory of one, ends at 1,024 rows. */
import { openCuda } from "../../../ffi/cuda.ts";
import { openHip } from "../../../ffi/hip.ts";
import { GpuEngine } from "../../../src/backends/gpu/engine.ts";
import { openGpu } from "../../../src/backends/gpu/open.ts";
import type { Engine } from "../../../src/model/engine.ts";
import { openDeviceRanks } from "../../../src/parallel/device_engine.ts";
import { assert, assertEquals } from "../../assert.ts";
import { buildCudaHost, buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { hostLibrary } from "../../kernels/host_machine.ts";
import { nmse } from "../../nmse.ts";
import { dose } from "../../soak.ts";
import { randomModel, STORAGES, testConfig } from "../random_model.ts";
import { requestFor, sequence } from "./opened.ts";

const ignore = await withoutKernelCompiler();
const storage = STORAGES.find(({ format }) => format === "mxfp4")!;
/** As few heads and columns as attention's tiles and the experts' blocks of 32 allow. */
const config = testConfig({ hidden: 32, intermediate: 64, heads: 2, kvHeads: 2, vocab: 32, slidingWindow: 70 });
/** Tokens of a prompt, and of the chunk that holds all or nearly all of them. */
const PROMPTS: readonly Prompt[] = dose([[1100, 1100]], [[1100, 1100], [2300, 2048], [4200, 4096]]), SHORT = 200;
/** Of float32 sums in parts: chunks change no bit, ranks do. */
const MOST_ERROR = 1e-11;
type Prompt = readonly [length: number, chunk: number];

/** Logits of some of a prompt's tokens, computed in chunks. */
async function logitsIn(engine: Engine, length: number, chunk: number): Promise<Float32Array> {
  const wanted = [0, 1, 1023, 1024, 1030, 2047, 2048, 4095, length - 1].filter((row) => row < length);
  const all: number[] = [];
  for (let at = 0; at < length; at += chunk) {
    const rows = wanted.filter((row) => row >= at && row < at + chunk).map((row) => row - at);
    const batch = sequence(0, Math.min(chunk, length - at), config.vocab, at);
    await engine.compute(batch, Int32Array.from(rows), (_row, logits) => void all.push(...logits));
  }
  assertEquals(all.length, wanted.length * config.vocab);
  return Float32Array.from(all);
}

type Kind = "hip" | "cuda";

/** Logits of a prompt on one device of the test library, in chunks. */
async function onOne(host: HipHost, kind: Kind, length: number, chunk: number): Promise<Float32Array> {
  using model = randomModel(5, { config, storage });
  const kernels = await hostKernels({ arch: kind === "hip" ? "gfx942" : "sm_90" });
  const runtime = (kind === "hip" ? openHip : openCuda)(host.path), request = requestFor(model, room(length, chunk));
  const engine = new GpuEngine(await openGpu(request, runtime, { kernels }), config);
  const logits = await logitsIn(engine, length, chunk);
  await engine.close();
  return logits;
}

/** The same on two, which on CUDA sum from memory to memory, else by the library. */
async function onTwo(host: HipHost, kind: Kind, length: number, chunk: number): Promise<Float32Array> {
  using model = randomModel(5, { config, storage });
  host.kernels(await hostLibrary());
  host.configure({ devices: 2 });
  const engine = await openDeviceRanks(requestFor(model, room(length, chunk)), {
    ...{ sizes: { tp: 2, ep: 1 }, kind, devices: [0, 1], library: host.path, collectivesLibrary: host.path },
    exchange: kind === "cuda",
  });
  const sums = kind === "cuda" ? `sums of up to ${chunk} tokens from memory to memory` : "sums by RCCL";
  assert(engine.info.description.includes(sums), engine.info.description);
  const logits = await logitsIn(engine, length, chunk);
  await engine.close();
  return logits;
}

const room = (context: number, maxTokens: number) => ({ context, maxTokens });

for (const kind of ["hip", "cuda"] as const) {
  for (const [length, chunk] of PROMPTS) {
    Deno.test({
      name:
        `a prompt of ${length} tokens has equal logits in chunks of ${chunk} and of ${SHORT}, on ${kind}, tp 1 and 2`,
      ignore,
      fn: async () => {
        using host = new HipHost(kind === "hip" ? buildHipHost() : buildCudaHost());
        const expected = await onOne(host, kind, length, SHORT);
        assertEquals(await onOne(host, kind, length, chunk), expected);
        const error = nmse(await onTwo(host, kind, length, chunk), expected);
        assert(error <= MOST_ERROR, `NMSE ${error}`);
        assertEquals(host.leaks(), "");
      },
    });
  }
}
