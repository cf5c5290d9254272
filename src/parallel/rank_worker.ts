/** What the worker thread of a rank runs. */
import { type RankScope, runRank } from "./rank_thread.ts";

runRank(self as unknown as RankScope);
