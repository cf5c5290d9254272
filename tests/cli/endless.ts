/** A model that does not stop by itself. */
import { BrokenCheckpoint } from "./broken.ts";

/** The embedded model without the tokens that end its replies: it goes on until its context is full. */
export function endless(): BrokenCheckpoint {
  const checkpoint = new BrokenCheckpoint();
  // <|constrain|>, which it was never taught.
  checkpoint.config((config) => config["eos_token_id"] = 1018);
  Deno.removeSync(checkpoint.path("generation_config.json"));
  return checkpoint;
}
