/** What the worker thread of the only rank runs where it chooses tokens as well: as a session's sampler does. */
import { type RankScope, runRank } from "../parallel/rank_thread.ts";
import { Sampler } from "./sampler.ts";

runRank(self as unknown as RankScope, (sampling) => new Sampler(sampling));
