/** An engine that chooses tokens itself, as those of GPUs do. */
import { firstNonFinite } from "../../src/formats/finite.ts";
import type { DecodeRequest, Engine, Picks } from "../../src/model/engine.ts";
import { argmax, logProbability } from "../../src/session/likelihood.ts";
import { Sampler } from "../../src/session/sampler.ts";

/** Steps that are computed before the oldest one's tokens are looked at. */
const AHEAD = 2;

/** Chooses tokens by the logits of another engine, and computes ahead. */
export class ChoosingEngine implements Engine {
  readonly counts = { decoded: 0, picked: 0, dropped: 0, calls: 0 };

  constructor(readonly own: Engine) {}

  get info() {
    return this.own.info;
  }

  compute: Engine["compute"] = (...request) => this.own.compute(...request);
  copySlot: Engine["copySlot"] = (...request) => this.own.copySlot(...request);
  close: Engine["close"] = () => this.own.close();
  canDecode = (): boolean => true;
  canPick = (): boolean => true;

  async decode({ batch, steps, sampling, onTokens, drains = false }: DecodeRequest) {
    const samplers = sampling.map((options) => new Sampler(options)), computed: Int32Array[] = [];
    let { ids, positions } = batch, done = 0, end = steps;
    this.counts.calls++;
    while (done < end) {
      while (computed.length < Math.min(end, done + 1 + AHEAD)) {
        const step = computed.length, chosen = new Int32Array(ids.length);
        await this.own.compute({ ...batch, ids, positions }, ids.map((_, i) => i), (row, logits) => {
          const bad = firstNonFinite(logits);
          chosen[row] = bad < 0 ? samplers[row]!.pick(logits, sampling[row]!.uniforms[step] ?? 0) : ~bad;
        });
        this.counts.decoded += ids.length;
        computed.push(chosen);
        ids = chosen.map((id) => Math.max(0, id));
        positions = positions.map((position) => position + 1);
      }
      if (!await onTokens(computed[done]!, done++)) end = drains ? computed.length : done;
    }
    this.counts.dropped += computed.length - done;
    return { steps: done, hostMilliseconds: 0 };
  }

  async pick(batch: Parameters<Engine["compute"]>[0], rows: Int32Array): Promise<Picks> {
    const ids = new Int32Array(rows.length), logProbabilities = new Float64Array(rows.length);
    let at = 0;
    await this.own.compute(batch, rows, (_row, logits) => {
      const bad = firstNonFinite(logits);
      ids[at] = bad < 0 ? argmax(logits) : ~bad;
      logProbabilities[at] = bad < 0 ? logProbability(logits, ids[at]!) : NaN;
      at++;
    });
    this.counts.picked += rows.length;
    return { ids, logProbabilities };
  }
}
