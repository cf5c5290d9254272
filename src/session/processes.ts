/** Sessions whose ranks are processes: what the first process opens, the others open and compute as it says. */
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { FailureError, InputError, reason } from "../errors.ts";
import { startRanks } from "../parallel/hosted.ts";
import type { HostedRanks } from "../parallel/hosted.ts";
import { ALIVE_MS, type Leader, type Order, type Report } from "../parallel/leader.ts";
import type { Wire } from "../parallel/wire.ts";
import type { World } from "../parallel/world.ts";
import { spelled } from "../words.ts";
import { requestOf, type Room } from "./request.ts";
import { type Choices, DEFAULTS, planSetting, type Setting } from "./setting.ts";

/** What a model is opened by, in every process. */
export interface ModelOrder {
  /** The checkpoint's directory, the same on every host. */
  readonly dir: string;
  /** Of the first process; devices and libraries are each process's own. */
  readonly choices: Choices;
  readonly room: Room;
}

/** A process's own place. */
export interface OwnPlace extends Pick<Choices, "device" | "hipLibrary" | "collectivesLibrary"> {
  readonly world: World;
}

/** The other processes, once they are there; and which of this host's devices is this process's. */
let led: { readonly leader: Leader<ModelOrder>; readonly place: OwnPlace } | null = null;

/** Makes this the first process of several: settings with as many ranks are opened in all of them from now on. */
export function lead(leader: Leader<ModelOrder>, place: OwnPlace): void {
  led = { leader, place };
}

/** The other processes, if a setting has a rank in each. */
export function processesFor({ tp, ep }: Pick<Setting, "tp" | "ep">): typeof led {
  return led !== null && led.leader.size === tp * ep ? led : null;
}

/** The order that opens a setting elsewhere. */
export function orderOf(setting: Setting, room: Room): ModelOrder {
  const choices = Object.fromEntries(Object.keys(DEFAULTS).map((key) => [key, setting[key as keyof Choices]]));
  return { dir: setting.checkpoint.dir, choices: choices as unknown as Choices, room };
}

/**
 * Ordinal of a process's device: the one that `--device` names in its place among those of the host, or that place.
 *
 * @param count Devices that the process sees: one may be all, where whoever started it shows each its own.
 */
export function ownDevice({ device, world: { localRank, rank } }: OwnPlace, count: number): number {
  const place = localRank ?? rank, listed = device === undefined ? [] : [device].flat();
  return listed[place % listed.length] ?? place % count;
}

/**
 * Computes as the first process says, until it ends.
 *
 * @param devices Counts the devices.
 * @param onLost Told first that something failed, here or elsewhere.
 * @returns The exit code.
 * @throws {FailureError} if the first process ended without a word.
 */
export async function follow(
  wire: Wire<Order<ModelOrder>, Report>,
  place: OwnPlace,
  devices: (kind: "hip" | "cuda") => number,
  onLost: () => void,
): Promise<number> {
  const follower = new Follower(wire, place, devices);
  try {
    const code = await follower.run();
    if (code !== 0) onLost();
    return code;
  } catch (thrown) {
    onLost();
    throw thrown;
  } finally {
    await follower.stop();
  }
}

class Follower {
  #hosted: HostedRanks | null = null;
  /** Orders are carried out one after another; what paces them does not wait for its turn. */
  #orders: Promise<void> = Promise.resolve();
  #busy = false;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(
    readonly wire: Wire<Order<ModelOrder>, Report>,
    readonly place: OwnPlace,
    readonly devices: (kind: "hip" | "cuda") => number,
  ) {
    let seen = "";
    this.#timer = setInterval(() => {
      const now = JSON.stringify(this.#hosted?.control.stateOf(0));
      if (!this.#busy || now !== seen) this.wire.send({ kind: "alive" });
      seen = now;
    }, ALIVE_MS);
  }

  async run(): Promise<number> {
    const failed = Promise.withResolvers<number>();
    const orders = this.#receive((cause) => {
      this.wire.send({ kind: "failed", text: textOf(cause) });
      // The first process says it, and ends the others.
      this.wire.sent().then(() => failed.resolve(1));
    });
    return await Promise.race([orders, failed.promise]);
  }

  async #receive(fail: (cause: unknown) => void): Promise<number> {
    for await (const order of this.wire.received()) {
      if (order.kind === "end") return 0;
      if (order.kind === "abort") return 1;
      if (order.kind === "pace") {
        const { control } = this.#hosted!;
        if (order.closed) control.close(order.until);
        else control.permit(order.until);
        continue;
      }
      this.#orders = this.#orders.then(async () => {
        this.#busy = true;
        await this.#carryOut(order, fail);
        this.#busy = false;
        this.wire.send({ kind: "done" });
      }).catch(fail);
    }
    const { rank, size } = this.place.world;
    throw new FailureError(`rank ${rank} of ${size}: the process of rank 0 ended without a word`);
  }

  async #carryOut(
    order: Exclude<Order<ModelOrder>, { kind: "end" | "abort" | "pace" }>,
    fail: (cause: unknown) => void,
  ): Promise<void> {
    if (order.kind === "open") return await this.#open(order.setting, fail);
    const { ranks } = this.#hosted!;
    if (order.kind === "close") {
      await ranks.close();
      this.#hosted = null;
    } else if (order.kind === "copySlot" || order.kind === "pretend") ranks.post(order);
    // Logits and what is picked are the first process's to hand out.
    else await ranks.all(() => order);
  }

  async #open({ dir, choices, room }: ModelOrder, fail: (cause: unknown) => void): Promise<void> {
    if (this.#hosted !== null) throw new FailureError("several processes compute one model at a time");
    const { world, hipLibrary, collectivesLibrary } = this.place, kind = choices.backend === "hip" ? "hip" : "cuda";
    const setting = planSetting({ ...choices, checkpoint: openCheckpoint(dir) }), { tp, ep } = choices;
    const request = await requestOf(setting, room), device = ownDevice(this.place, this.devices(kind));
    const options = { sizes: { tp, ep }, kind, devices: [device], library: hipLibrary, collectivesLibrary } as const;
    this.#hosted = startRanks(request, options, world.rank, 1);
    this.#hosted.ranks.onFailure = fail;
    await this.#hosted.load();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const ranks = this.#hosted?.ranks;
    if (ranks) {
      // Nobody is to be told; what waits for others ends.
      ranks.onFailure = undefined;
      ranks.fail(new FailureError("the first process has ended"));
      await ranks.close();
    }
    this.wire.close();
  }
}

function textOf(cause: unknown): string {
  const text = cause instanceof FailureError
    ? spelled(cause.text)
    : cause instanceof InputError
    ? cause.line()
    : reason(cause);
  // The rank is said by whom it is told to.
  return text.replace(/^rank \d+: /, "");
}
