/** The program's version and where its parts lie. */
import manifest from "../../deno.json" with { type: "json" };

/** Version of the program, from deno.json. */
export const VERSION: string = manifest.version;
