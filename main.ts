import { run } from "./src/cli/run.ts";

if (import.meta.main) await run(Deno.args);
