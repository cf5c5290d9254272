/** What is inside a standalone binary: the one list that both kinds of binary are built from. */
import { WASM_PATH } from "../../src/wasm.ts";
import { fileURLToPath } from "node:url";

/** The repository. */
export const ROOT: URL = new URL("../../", import.meta.url);

/**
 * Scripts that a process or a worker starts with; everything that they import comes along. The first is the program.
 */
export const ENTRY_POINTS: readonly string[] = [
  "main.ts",
  "src/backends/emulate/memory_worker.ts",
  "src/backends/emulate/worker.ts",
  "src/bench/probe_worker.ts",
  "src/checkpoint/hash_worker.ts",
  "src/checkpoint/scales_worker.ts",
  "src/eval/score_worker.ts",
  "src/parallel/device_rank_worker.ts",
  "src/parallel/rank_worker.ts",
  "src/serve/chat/grammar_worker.ts",
  "src/session/picking_worker.ts",
];

/**
 * Files and whole directories that the program reads at run time, by their paths in the repository; the revision comes
 * on top.
 */
export const DATA: readonly string[] = [
  "LICENSE",
  "kernels/build",
  "models/tiny-gpt-oss/chat_template.jinja",
  "models/tiny-gpt-oss/config.json",
  "models/tiny-gpt-oss/generation_config.json",
  "models/tiny-gpt-oss/model.safetensors",
  "models/tiny-gpt-oss/tokenizer.json",
  "models/tiny-gpt-oss/tokenizer_config.json",
  "src/verify/goldens.safetensors",
  WASM_PATH,
];

/**
 * The data files one by one, sorted.
 *
 * @throws {Deno.errors.NotFound} if one is missing.
 */
export function dataFiles(): string[] {
  return DATA.flatMap((path) => filesBelow(path)).sort();
}

/** Path on this machine of a path in the repository. */
export function inRepository(path: string): string {
  return fileURLToPath(new URL(path, ROOT));
}

/** The path itself, or the files of a directory, at any depth. */
export function filesBelow(path: string): string[] {
  if (!Deno.statSync(inRepository(path)).isDirectory) return [path];
  return [...Deno.readDirSync(inRepository(path))].flatMap(({ name }) => filesBelow(`${path}/${name}`));
}
