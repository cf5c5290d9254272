/**
 * Writes what the package for JSR has and a checkout has not: the small model, the GPU kernels and the goldens as
 * modules.
 *
 *     deno task jsr
 *     deno publish --dry-run
 */
import { inRepository } from "./package/files.ts";
import { PACKS, packs } from "./package/packs.ts";

if (import.meta.main) {
  if (Deno.args.length > 0) {
    console.error("usage: deno task jsr, without arguments");
    Deno.exit(2);
  }
  Deno.mkdirSync(inRepository(PACKS), { recursive: true });
  for (const [path, text] of packs()) {
    Deno.writeTextFileSync(inRepository(path), text);
    console.log(`${path}: ${(text.length / 1e6).toFixed(2)} MB`);
  }
}
