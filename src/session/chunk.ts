/** How many tokens of a prompt are computed in one pass, where nobody chooses. */
import type { ModelConfig } from "../checkpoint/model_config.ts";
import type { ModelSource } from "../checkpoint/source.ts";
import { availableMemory } from "../memory.ts";
import { workspace } from "../model/gpt_oss.ts";
import { Costs } from "../model/work.ts";

/** Tokens of one pass, those of several sequences together. */
export const DEFAULT_CHUNK = 128;

/** What one sequence may have instead: the more tokens an expert gets at once, the less often it is decoded. */
const LONGER_CHUNKS = [512, 256];
/** The same on a device, where rows fill whole tiles of experts besides; longer ones take what caches could have. */
const LONGER_CHUNKS_OF_DEVICES = [2048, 1024, 512, 256];
/** On a device several may have so many: sliding layers keep room for them for each sequence. */
const SHARED_CHUNKS_OF_DEVICES = [512, 256];
/** Activations take at most so much of what the weights take, and of the memory that can be had. */
const OF_WEIGHTS = 1 / 10, OF_MEMORY = 1 / 16;
/** What one WASM memory holds; where a model needs several, each may have activations of its own. */
const MEMORY_BYTES = 2 ** 32;

/**
 * Tokens of one pass of `emulate` where there is one sequence. Changes no bit of a result.
 *
 * @param ranks Each has activations of its own.
 * @param available Bytes of memory that can be had; null: not known.
 */
export function chosenChunk(
  config: ModelConfig,
  source: ModelSource,
  ranks: number,
  available: number | null = availableMemory()?.bytes ?? null,
): number {
  const { weightBytes } = new Costs(config, source, "bf16");
  const room = Math.min(OF_WEIGHTS * weightBytes, OF_MEMORY * (available ?? Infinity));
  const copies = ranks * Math.ceil(weightBytes / MEMORY_BYTES);
  return longest(LONGER_CHUNKS, copies * activationBytes(config, source), room);
}

/**
 * The same on a GPU, whose matrix products want more rows still. Results depend on it as docs/kernels.md says. What is
 * counted is the whole model's activations: a rank has fewer, and beside them what ranks exchange.
 *
 * @param ranks As many devices.
 * @param shared Whether several sequences share a pass.
 */
export function chosenDeviceChunk(config: ModelConfig, source: ModelSource, ranks: number, shared: boolean): number {
  const room = OF_WEIGHTS * new Costs(config, source, "bf16").weightBytes / ranks;
  return longest(
    shared ? SHARED_CHUNKS_OF_DEVICES : LONGER_CHUNKS_OF_DEVICES,
    activationBytes(config, source),
    room,
  );
}

/** The first of some numbers of tokens for which there is room, at so many bytes each. */
function longest(chunks: readonly number[], bytes: number, room: number): number {
  return chunks.find((chunk) => chunk * bytes <= room) ?? DEFAULT_CHUNK;
}

/** Bytes of a token's activations: the graph's tensors, and the rows of the widest input of the experts. */
function activationBytes(config: ModelConfig, source: ModelSource): number {
  const tensors = Object.values(workspace(config, source));
  const elements = tensors.reduce((sum, { rowsPerToken, width }) => sum + rowsPerToken * width, 0);
  return 4 * (elements + config.topK * Math.max(config.hidden, config.intermediate));
}
