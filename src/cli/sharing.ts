/**
 * Whether the processes that torchrun, mpirun or srun started with one command line share its models, and by what they
 * reach each other.
 */
import { addressesOf, bracketed, ipv6Of } from "../../ffi/addresses.ts";
import { environment } from "../../ffi/library.ts";
import { InputError } from "../errors.ts";
import type { MeetingPlace } from "../parallel/meeting.ts";
import { ownRanks } from "../parallel/own_ranks.ts";
import { type ReadVariable, type World, worldOf } from "../parallel/world.ts";
import { type Choices, isGpu } from "../session/setting.ts";

/** torchrun's own store listens at MASTER_PORT; processes meet at the next port then. */
export const AGENT_STORE_VARIABLE = "TORCHELASTIC_USE_AGENT_STORE";

/** How a model is computed, as far as processes can share it. */
export type Shared =
  & Pick<Choices, "backend" | "tp" | "ep">
  & Partial<Pick<Choices, "device" | "hipLibrary" | "collectivesLibrary">>;

/** Processes that share a model, or several. */
export interface Sharing {
  readonly world: World;
  /** Where they meet; null: MPI, by which ranks on the processor sum, brings them together. */
  readonly place: MeetingPlace | null;
}

/** torch.distributed's default, for processes that are all on one host and are given no port. */
const DEFAULT_PORT = 29500;
/** Where the first process listens if its own address is none that other hosts reach, or that it may listen on. */
const EVERYWHERE = "0.0.0.0", EVERYWHERE_V6 = "::";

/**
 * The settings of a command line that has options for one model.
 *
 * @param options `tp` and `ep` may be lists, of which every pair counts.
 */
export function modelsOf(options: Readonly<Record<string, unknown>>): Shared[] {
  if (!("tp" in options && "ep" in options && "backend" in options)) return [];
  const backend = options["backend"] as Shared["backend"];
  const [tps, eps] = [options["tp"], options["ep"]].map((given) => [given ?? 1].flat() as number[]);
  const { device, "hip-library": hipLibrary, "collectives-library": collectivesLibrary } = options;
  const own = { device, hipLibrary, collectivesLibrary } as Partial<Shared>;
  return tps!.flatMap((tp) => eps!.map((ep): Shared => ({ ...own, backend, tp, ep })));
}

/**
 * How the processes of this command line share its models; null where it was started alone.
 *
 * @param models Empty: each process has work of its own.
 * @throws {InputError} where the environment is incomplete or contradicts itself, where the ranks of no model can be
 *   shared out among the processes, or where nobody says the address at which hosts meet.
 */
export function sharingOf(models: readonly Shared[], read: ReadVariable = environment): Sharing | null {
  const world = models.length === 0 ? null : worldOf(read);
  if (world === null || world.size === 1) return null;
  const ranks = ({ tp, ep }: Shared) => tp * ep, onGpus = models.filter(({ backend }) => isGpu(backend));
  // Beside models that are shared on GPUs the first process alone computes those of one rank, and on the processor.
  const shared = onGpus.filter((model) => ranks(model) > 1);
  const checked = shared.length > 0 ? shared : onGpus.length === models.length ? models : models.filter(isOnProcessor);
  for (const model of checked) ownRanks(world.rank, world.size, ranks(model));
  const place = shared.length > 0 ? placeOf(world, read(AGENT_STORE_VARIABLE) === "True") : null;
  return { world, place };
}

const isOnProcessor = ({ backend }: Shared) => !isGpu(backend);

function placeOf({ master, localSize, size, source, rank }: World, agentStore: boolean): MeetingPlace {
  if (master === null) {
    if (localSize === size) return { host: "127.0.0.1", port: DEFAULT_PORT };
    const expected = `the address of rank 0, where ${source} started processes on several hosts`;
    throw InputError.of("missing", { name: "MASTER_ADDR" }, expected, "none");
  }
  const [host, ...others] = placesOf(master.address), port = master.port + (agentStore ? 1 : 0);
  // Many hosts know themselves by a name that means 127.0.1.1 there, some by one with addresses in several networks;
  // Kubeflow calls the first "localhost" there and does not say how many are on one host. An address means itself.
  const vague = !isAddress(master.address) || localSize !== null, v6 = host!.includes(":");
  const said = host!.startsWith("127.") || host === "::1" || others.length > 0;
  const elsewhere = rank === 0 && (localSize !== size && vague && said || v6 && !mayListen(host!, port));
  const listen = v6 ? EVERYWHERE_V6 : EVERYWHERE;
  return { host: host!, port, ...(others.length > 0 ? { others } : {}), ...(elsewhere ? { listen } : {}) };
}

/** Launchers permit to listen on all IPv6 addresses together, but on no other host's: Deno knows no ranges of them. */
const mayListen = (host: string, port: number) =>
  Deno.permissions.querySync({ name: "net", host: `${bracketed(host)}:${port}` }).state === "granted";

const ADDRESS = /^\d{1,3}(\.\d{1,3}){3}$/;

const isAddress = (name: string) => ADDRESS.test(name) || ipv6Of(name) !== null;

function placesOf(name: string): string[] {
  if (name === "localhost") return ["127.0.0.1"];
  const v6 = ipv6Of(name), found = ADDRESS.test(name) ? [name] : v6 !== null ? [v6] : addressesOf(name);
  if (found.length > 0) return found;
  throw InputError.of("wrong_value", { name: "MASTER_ADDR" }, "an address, or the name of a host that has one", name);
}

/**
 * Refuses a command that each of several processes would do in whole, to the same files. The first doing it for all
 * would leave undone what a script gives each process of its own; and some clusters end a step soon after the first of
 * its tasks has ended.
 *
 * @param name Of the command.
 * @throws {InputError} where there are several, or variables contradict each other.
 */
export function refuseSeveral(name: string, read: ReadVariable = environment): void {
  const { size, source } = worldOf(read) ?? { size: 1 };
  if (size === 1) return;
  const expected = "one process, as each would write the same files";
  throw InputError.of("contradiction", { name }, expected, `${size} that ${source} started`);
}

/** Which of several processes this is; null where it was started alone, or variables contradict each other. */
export function ownWorld(read: ReadVariable = environment): World | null {
  try {
    const world = worldOf(read);
    return world === null || world.size === 1 ? null : world;
  } catch (thrown) {
    // Who has to know which refuses it.
    if (thrown instanceof InputError) return null;
    throw thrown;
  }
}
