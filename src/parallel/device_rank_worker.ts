/**
 * One rank with a device of its own, on a worker thread: the whole GPU engine over the rank's part of the weights,
 * whose sums go from device to device. Where there is one rank only, it has the whole model and sums nothing.
 */
import { openCollectives } from "../../ffi/collectives.ts";
import { openRuntime } from "../../ffi/open.ts";
import { GpuEngine } from "../backends/gpu/engine.ts";
import { openGpu } from "../backends/gpu/open.ts";
import { FailureError, InputError, reason } from "../errors.ts";
import type { TensorName } from "../model/gpt_oss.ts";
import { DraggedError } from "./communicator.ts";
import { RunControl } from "./control.ts";
import { Mailbox } from "./mailbox.ts";
import { type OpenedDeviceRank, type RankCommand, type RankReply, tapTo } from "./messages.ts";

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<OpenedDeviceRank | RankCommand>) => void) | null;
  postMessage(reply: RankReply): void;
  close(): void;
};

/**
 * How long a rank that closes waits for others whose devices may still write to its memory, in milliseconds; and, after
 * a failure, for any sign of them. Each is less than what whoever closes waits for (ranks.ts).
 */
const REST_MS = 4000, SILENCE_MS = 1000;
/** How often the libraries are asked whether an operation failed, in milliseconds of a wait. */
const ASK_MS = 50;

/** The rank's state between messages. */
class Rank {
  readonly #control: RunControl;
  readonly mailbox: Mailbox;
  #asked = 0;
  /** Whether ranks of other processes may write to this one's memory. */
  #abroad = false;

  constructor(readonly setup: OpenedDeviceRank, readonly engine: GpuEngine) {
    this.#control = new RunControl(setup.control);
    this.mailbox = new Mailbox(setup.mailbox);
  }

  static async open(setup: OpenedDeviceRank): Promise<Rank> {
    const { ranges, device: { kind, ordinal, library }, sizes, request } = setup,
      control = new RunControl(setup.control);
    const ownPart = { vocabStart: ranges.vocab.start, expertStart: ranges.experts.start };
    const full = {
      ...request,
      ...(sizes === null ? {} : { part: { ...ownPart, communicator: sizes } }),
      onProgress: (done: number, total: number) => {
        control.loaded(ranges.rank, done / total);
        scope.postMessage({ kind: "progress", done, total });
      },
    };
    const backend = await openGpu<TensorName>(full, openRuntime(kind, library), {
      device: ordinal,
      selfTests: setup.selfTests,
    });
    control.loaded(ranges.rank, 1, true);
    return new Rank(setup, new GpuEngine(backend, request.config));
  }

  async handle(command: Exclude<RankCommand, { kind: "close" }>): Promise<RankReply | null> {
    const { setup, engine, engine: { backend, model } } = this, control = this.#control;
    switch (command.kind) {
      case "prepare":
        backend.ranks.prepare(openCollectives(setup.device.kind, setup.device.collectivesLibrary));
        break;
      case "join":
        control.progress(setup.ranges.rank);
        backend.ranks.join(command.ids, setup.ranges.rank, (waited) => this.#watch(waited));
        break;
      case "offer":
        return { kind: "offered", memory: backend.ranks.offer(setup.ranges.rank, this.#abroad = command.abroad) };
      case "exchange": {
        const tokens = backend.ranks.exchange(command.offers, command.places);
        return { kind: "exchanges", tokens };
      }
      case "tune":
        return { kind: "tuned", times: backend.ranks.tune(command.tokens) };
      case "choose":
        backend.ranks.choose(command.tokens);
        break;
      case "compute": {
        let i = 0;
        const onRow = (_row: number, logits: Float32Array) => this.#keep(i++, logits);
        await engine.compute(command.batch, command.rows, onRow, command.tapped ? tap : undefined);
        break;
      }
      case "logits": {
        const { vocab } = setup.request.config, logits = model.logits(command.rows);
        command.rows.forEach((_, i) => this.#keep(i, logits.subarray(i * vocab, (i + 1) * vocab)));
        break;
      }
      case "decode": {
        const { batch } = command, { tensors, weights } = backend;
        const onTokens = (ids: Int32Array, step: number) => {
          control.progress(setup.ranges.rank);
          if (setup.speaks) scope.postMessage({ kind: "tokens", ids: ids.slice(), step });
        };
        const walk = () => model.forward(batch);
        const { hostMilliseconds } = backend.decodePaced(
          { ...command, onTokens },
          control,
          tensors.normed,
          weights.head,
          walk,
        );
        return { kind: "decoded", hostMilliseconds };
      }
      case "pick": {
        const picks = await engine.pick(command.batch, command.rows);
        control.progress(setup.ranges.rank);
        return { kind: "picked", picks };
      }
      case "part":
        backend.ranks.part();
        break;
      case "talk":
        backend.ranks.talk(command.talks);
        break;
      case "pretend":
        engine.pretend(command.batch);
        return null;
      case "copySlot":
        engine.copySlot(command.from, command.to, command.length);
        return null;
    }
    control.progress(setup.ranges.rank);
    return { kind: "done" };
  }

  /** Puts a row into the logits that the threads of the process share. */
  #keep(row: number, logits: Float32Array): void {
    if (!this.setup.speaks) return;
    const { logits: shared, request: { config: { vocab } } } = this.setup;
    new Float32Array(shared, 4 * row * vocab, vocab).set(logits);
  }

  /** Looks while the device is waited for. @throws {DraggedError} if all must stop. */
  #watch(waited: number): void {
    const control = this.#control;
    control.beat(this.setup.ranges.rank);
    if (control.aborted) throw new DraggedError();
    if (waited < this.#asked) this.#asked = 0;
    if (waited < this.#asked + ASK_MS) return;
    this.#asked = waited;
    this.engine.backend.ranks.check();
  }

  /** Lets go of what waits for other ranks. */
  abandon(): void {
    this.#control.abort();
    this.engine.backend.ranks.abandon();
  }

  /**
   * Gives everything back: where ranks write into one another's memory, when the devices of all have come to the end of
   * what was queued; of one that hangs this is not known, and what it may write to stays.
   *
   * @param parted Whether all ranks have let go of the memory of other processes.
   */
  async close(parted: boolean): Promise<void> {
    const { engine, engine: { backend: { ranks } } } = this, control = this.#control;
    if (ranks.joined) this.#settle();
    control.rest();
    // Nobody knows whether another process's device rests that has not parted.
    if (ranks.exchanges && !parted && (this.#abroad || !control.awaitRest(REST_MS, SILENCE_MS))) ranks.keep();
    await engine.close();
  }

  /** Waits for the end of what was queued, and lets go of it where a rank has failed: it may wait for that one. */
  #settle(): void {
    const { ranks } = this.engine.backend, { rank } = this.setup.ranges;
    const tried = (attempt: () => void) => {
      try {
        attempt();
        return true;
      } catch {
        return false;
      }
    };
    if (!this.#control.aborted && tried(() => ranks.settle())) return;
    tried(() => this.abandon());
    // A device that fails at this, too, does nothing any more. One that is slow says so to those that wait for it.
    tried(() => ranks.settle(() => this.#control.beat(rank)));
  }
}

const tap = tapTo((reply) => scope.postMessage(reply));

let rank: Rank | undefined;
/** Messages are handled one after another, also while the rank opens. */
let queue: Promise<void> = Promise.resolve();
let control: SharedArrayBuffer | undefined;
/** Messages after the first that were heard. */
let heard = 0;

scope.onmessage = ({ data }) => {
  queue = queue.then(() => handle(data)).catch((thrown) => {
    // The message leaves first: letting go may take a while.
    scope.postMessage({
      kind: "failed",
      text: thrown instanceof FailureError ? thrown.text : reason(thrown),
      mistake: thrown instanceof InputError ? thrown.mistake : null,
      dragged: thrown instanceof DraggedError,
    });
    if (control) new RunControl(control).abort();
    rank?.abandon();
    // A device that does not even let others go is closed as any other is.
  }).catch(() => {}).then(() => data.kind === "close" ? end() : undefined);
};

/** Also a rank that could not let go of all that it held is not waited for. */
function end(): void {
  scope.postMessage({ kind: "closed" });
  scope.close();
}

async function handle(message: OpenedDeviceRank | RankCommand): Promise<void> {
  if (message.kind === "open") {
    control = message.control;
    rank = await Rank.open(message);
    scope.postMessage({ kind: "ready", info: rank.engine.info });
    return;
  }
  if (message.kind === "close") return await rank?.close(message.parted);
  if (!rank) throw new Error("a rank was given work before it was opened");
  heard++;
  let reply = await rank.handle(message);
  while (reply !== null) {
    rank.mailbox.listen(heard);
    scope.postMessage(reply);
    const question = rank.mailbox.take();
    if (question === null) return;
    reply = await rank.handle(question);
  }
}
