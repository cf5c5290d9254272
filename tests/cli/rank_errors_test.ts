/** Whichever call of a GPU's library or of the collective library fails: all processes of a run end, with one line. */
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { assertPromised } from "../quickly.ts";
import { ONLY_SOAKED, SOAK } from "../soak.ts";
import { onTestLibrary, startRanks } from "./rank_processes.ts";

const ignore = !SOAK || await withoutKernelCompiler();

/** Codes of HIP and of RCCL, by turns: any call may return any. */
const CODES = [1, 2, 3, 100, 101, 200, 700, 704, 719, 999], COLLECTIVE_CODES = [1, 2, 3, 4, 5, 6, 7];
/** What gives something back, and the driver's early start: nobody needs to hear of them. */
const SILENT = /^(hip(\w*Destroy|\w*Free|ModuleUnload|Init)|ncclCommDestroy)$/;

/** What became of two processes, of which one was told to let a call fail. */
interface Outcome {
  readonly codes: readonly number[];
  readonly stdout: string;
  readonly stderr: string;
  /** How often each function was called, by rank. */
  readonly calls: readonly ReadonlyMap<string, number>[];
}

async function outcome(dir: string, victim: number, failing: string | null): Promise<Outcome> {
  const path = (rank: number) => `${dir}/${rank}`;
  const { ended } = await startRanks(
    2,
    [...onTestLibrary(), "--tp", "2", "--max-tokens", "4", "--json", "Hi"],
    (rank) => ({
      HIP_HOST_CALLS: path(rank),
      ...(failing !== null && rank === victim ? { HIP_HOST_FAIL: failing } : {}),
    }),
  );
  const [first, second] = await ended, calls = [0, 1].map((rank) => callsIn(path(rank)));
  return {
    codes: [first!.code, second!.code],
    stdout: /"token_ids": \[[^\]]*\]/.exec(first!.stdout)?.[0] ?? first!.stdout,
    stderr: first!.stderr + second!.stderr,
    calls,
  };
}

/** None where the process ended before it had opened the library. */
function callsIn(path: string): Map<string, number> {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
    Deno.removeSync(path);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return new Map();
    throw thrown;
  }
  return new Map(
    text.trim().split("\n").map((line) => {
      const [name, count] = line.split(" ");
      return [name!, Number(count)];
    }),
  );
}

Deno.test({
  name: `whichever call fails in a rank, all processes end with one line${ONLY_SOAKED}`,
  ignore,
  fn: async () => {
    using dir = new TemporaryDirectory();
    const whole = await outcome(dir.path, 0, null);
    assertEquals(whole.codes, [0, 0], whole.stderr);
    assertMatch(whole.stdout, /^"token_ids": \[\s*\d+,/);
    let tried = 0, said = 0;
    for (const victim of [0, 1]) {
      for (const [call, count] of whole.calls[victim]!) {
        // The first, a middle or the last one, by turns.
        const nth = [1, Math.ceil(count / 2), count][tried % 3]!,
          codes = call.startsWith("nccl") ? COLLECTIVE_CODES : CODES;
        const code = codes[tried++ % codes.length]!,
          what = `rank ${victim}: ${call}, call ${nth} of ${count}, code ${code}`;
        const started = performance.now();
        const { codes: ends, stdout, stderr, calls } = await outcome(dir.path, victim, `${call}:${nth}:${code}`);
        assertPromised(started, 20, `the end of both processes (${what})`);
        if (ends[0] === 0) {
          assertEquals([ends[1], stdout, stderr], [0, whole.stdout, ""], what);
          // How often events are asked for is chance, and the last ones are of a rank that closes.
          const closing = call.startsWith("hipEvent") && nth > 1, reached = (calls[victim]!.get(call) ?? count) >= nth;
          assert(SILENT.test(call) || closing || !reached, what);
          continue;
        }
        assertEquals(ends, [1, 1], `${what}: ${stderr}`);
        assertMatch(stderr, /^error: (rank \d: )?(hip|nccl|librccl)[^\n]+\n$/, what);
        said++;
      }
    }
    assert(tried > 60 && said > 40, `${tried} failures, of which ${said} were said`);
  },
});
