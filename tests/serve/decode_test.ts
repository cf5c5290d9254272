/** Engines that choose tokens themselves, as those of GPUs do: replies are what they are by logits. */
import type { DecodeRequest, Engine, Picks } from "../../src/model/engine.ts";
import { argmax, logProbability } from "../../src/session/likelihood.ts";
import { Sampler } from "../../src/session/sampler.ts";
import { assert, assertEquals } from "../assert.ts";
import { integers, readGolden } from "../golden.ts";
import { jobOf, openServing } from "./serving.ts";

const TWO_TURNS = Int32Array.from(integers(readGolden("logits.safetensors"), "two_turns.ids"));

/** Chooses tokens by the logits of another engine. */
class ChoosingEngine implements Engine {
  readonly counts = { decoded: 0, picked: 0 };

  constructor(readonly own: Engine) {}

  get info() {
    return this.own.info;
  }

  compute: Engine["compute"] = (...request) => this.own.compute(...request);
  copySlot: Engine["copySlot"] = (...request) => this.own.copySlot(...request);
  close: Engine["close"] = () => this.own.close();
  canDecode = (): boolean => true;
  canPick = (): boolean => true;

  async decode({ batch, steps, sampling, onTokens }: DecodeRequest) {
    const samplers = sampling.map((options) => new Sampler(options));
    let { ids, positions } = batch, done = 0;
    for (let goesOn = true; goesOn && done < steps; done++) {
      const chosen = new Int32Array(ids.length);
      await this.own.compute({ ...batch, ids, positions }, ids.map((_, i) => i), (row, logits) => {
        chosen[row] = samplers[row]!.pick(logits, sampling[row]!.uniforms[done] ?? 0);
      });
      this.counts.decoded += ids.length;
      goesOn = await onTokens(chosen, done);
      ids = chosen;
      positions = positions.map((position) => position + 1);
    }
    return { steps: done, hostMilliseconds: 0 };
  }

  async pick(batch: Parameters<Engine["compute"]>[0], rows: Int32Array): Promise<Picks> {
    const ids = new Int32Array(rows.length), logProbabilities = new Float64Array(rows.length);
    let at = 0;
    await this.own.compute(batch, rows, (_row, logits) => {
      ids[at] = argmax(logits);
      logProbabilities[at] = logProbability(logits, ids[at]!);
      at++;
    });
    this.counts.picked += rows.length;
    return { ids, logProbabilities };
  }
}

Deno.test("replies are the same where the engine chooses tokens, several ahead or one by one", async () => {
  const texts = async (engine?: (own: Engine) => Engine) => {
    await using serving = await openServing({ slots: 3, ...(engine === undefined ? {} : { engine }) });
    const { service } = serving, model = service.model();
    const generations = [0, 1, 2, 3, 4].map((i) =>
      service.submit(
        model,
        jobOf(TWO_TURNS.slice(i, 30 + 9 * i), {
          maxTokens: 9 + 12 * (i % 2),
          stopIds: new Set([1017]),
          sampling: i === 0 ? {} : { temperature: 0.9, topP: 0.95, seed: i },
          logprobs: i === 4 ? 0 : null,
          // Ends in the middle of what is computed ahead.
          ...(i === 3 ? { watch: stopAfter(17) } : {}),
        }),
      )
    );
    return await Promise.all(
      generations.map(async (generation) => (await Array.fromAsync(generation)).map(({ id }) => id)),
    );
  };
  const engines: ChoosingEngine[] = [];
  const expected = await texts(),
    chosen = await texts((own) => {
      engines.push(new ChoosingEngine(own));
      return engines[0]!;
    });
  assertEquals(chosen, expected);
  assertEquals([expected[0]!.length, expected[3]!.length], [9, 17]);
  const { decoded } = engines[0]!.counts;
  assert(decoded > 20, `${decoded} tokens were chosen ahead`);
});

function stopAfter(tokens: number): () => boolean {
  return () => --tokens === 0;
}
