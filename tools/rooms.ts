/**
 * The rooms of the house and the imports between them, read from the code: what tests/house holds against the rule that
 * every arrow runs down, and what the picture in docs/architecture.md is drawn from.
 *
 *     deno run --allow-read --allow-write=docs tools/rooms.ts    # draws the picture anew
 */

/**
 * The rooms, floor by floor from the ground up: a room may import from itself and from any floor below, types included.
 */
export const FLOORS: readonly (readonly string[])[] = [
  ["ground"],
  ["formats", "text", "grammar", "ffi", "kernels"],
  ["checkpoint"],
  ["plan", "conversion"],
  ["model"],
  ["backends/reference", "backends/emulate", "backends/gpu"],
  ["parallel"],
  ["session"],
  ["bench", "eval", "quantize", "serve", "verify"],
  ["cli", "library"],
];

/** What lies in each room, in a few words, for the picture. */
const CONTENTS: Readonly<Record<string, string>> = {
  ground: "errors, printing, validation, assets",
  formats: "number formats: facts, encode, decode, QDQ",
  text: "tokenizer, chat template, harmony",
  grammar: "JSON Schemas as automata, and which tokens fit",
  ffi: "CUDA, HIP, NCCL, RCCL and MPI libraries",
  kernels: "GPU kernels and their manifest",
  checkpoint: "files on disk: config, layouts, slices",
  plan: "schemes: which format each linear has",
  conversion: "weights in another format while they are read",
  model: "the graph, its operations, the backend contract",
  "backends/reference": "plain TypeScript",
  "backends/emulate": "WebAssembly SIMD",
  "backends/gpu": "HIP and CUDA",
  parallel: "ranks and their sums",
  session: "open, feed, sample, generate",
  bench: "how fast, and how near to the limits",
  eval: "accuracy, divergence, reports",
  quantize: "writes checkpoints",
  serve: "models over HTTP: batches, endpoints",
  verify: "whether a GPU computes what it should",
  cli: "options and printing",
  library: "what programs import",
};

const ROOT = new URL("../", import.meta.url);

/** One module that imports another; paths from the repository's root. */
export interface Import {
  readonly from: string;
  readonly to: string;
}

function sources(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return sources(`${folder}${name}/`);
    return name.endsWith(".ts") ? [`${folder}${name}`] : [];
  });
}

/** Folders of the program's own modules. */
const PROGRAM = ["src/", "ffi/", "kernels/"] as const;

/** Every import between modules, by default the program's own, static or not, types included. */
export function readImports(folders: readonly string[] = PROGRAM): Import[] {
  return folders.flatMap(sources).flatMap((from) => {
    // An example in a comment imports nothing.
    const text = Deno.readTextFileSync(new URL(from, ROOT)).replaceAll(/^ \*.*$/gm, "");
    const specifiers = text.matchAll(/(?:^|\s)(?:from|import)\s*\(?\s*"(\.[^"]+\.ts)"/g);
    return Array.from(specifiers, ([, path]) => ({
      from,
      to: new URL(path!, new URL(from, ROOT)).pathname.slice(ROOT.pathname.length),
    }));
  });
}

/** The room of a module. */
export function roomOf(path: string): string {
  const [top, second = "", third] = path.split("/");
  if (top !== "src") return top!;
  if (second.endsWith(".ts")) return "ground";
  return second === "backends" && third !== undefined ? `backends/${third}` : second;
}

/** The floor of a room, from 0. */
export function floorOf(room: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(room));
}

/** Groups of modules that import each other in a circle, each in order of name. */
export function circles(imports: readonly Import[]): string[][] {
  const targets = Map.groupBy(imports, ({ from }) => from);
  const reaches = (from: string): Set<string> => {
    const seen = new Set<string>(), next = [from];
    for (let at = next.pop(); at !== undefined; at = next.pop()) {
      for (const { to } of targets.get(at) ?? []) if (!seen.has(to)) seen.add(to), next.push(to);
    }
    return seen;
  };
  const reached = new Map([...targets.keys()].map((from) => [from, reaches(from)]));
  const inCircle = [...reached.keys()].filter((path) => reached.get(path)!.has(path));
  const groups = Map.groupBy(
    inCircle,
    (path) =>
      inCircle.filter((other) => reached.get(path)!.has(other) && reached.get(other)!.has(path)).sort().join(" "),
  );
  return [...groups.values()].map((group) => group.sort());
}

/** The picture, as a Mermaid flow chart: arrows that follow from others are left out. */
export function picture(imports: readonly Import[]): string {
  const arrows = new Map<string, Set<string>>();
  for (const { from, to } of imports) {
    const [a, b] = [roomOf(from), roomOf(to)];
    if (a !== b) arrows.set(a, (arrows.get(a) ?? new Set()).add(b));
  }
  /** Rooms that are reached by two arrows or more. */
  const beyond = (room: string): Set<string> => {
    const seen = new Set<string>(), next = [...arrows.get(room) ?? []];
    for (let at = next.pop(); at !== undefined; at = next.pop()) {
      for (const to of arrows.get(at) ?? []) if (!seen.has(to)) seen.add(to), next.push(to);
    }
    return seen;
  };
  const id = (room: string) => room.replace("/", "_");
  const lines = ["flowchart TD"];
  for (const rooms of FLOORS.toReversed()) {
    for (const room of rooms) lines.push(`  ${id(room)}["<b>${room}</b><br/>${CONTENTS[room]}"]`);
  }
  for (const rooms of FLOORS.toReversed()) {
    for (const room of rooms) {
      const implied = beyond(room);
      const direct = [...arrows.get(room) ?? []].filter((to) => !implied.has(to)).sort();
      for (const to of direct) lines.push(`  ${id(room)} --> ${id(to)}`);
    }
  }
  return lines.join("\n");
}

/** The page that holds the picture. */
export const PAGE: URL = new URL("docs/architecture.md", ROOT);

/**
 * The page's text with the picture replaced.
 *
 * @throws {Error} if the page has no place for a picture: a picture that is nowhere would be compared with nothing.
 */
export function withPicture(page: string, drawn: string): string {
  const place = /```mermaid\n[^]*?```/;
  if (!place.test(page)) throw new Error("the page has no mermaid block");
  return page.replace(place, () => `\`\`\`mermaid\n${drawn}\n\`\`\``);
}

if (import.meta.main) {
  Deno.writeTextFileSync(PAGE, withPicture(Deno.readTextFileSync(PAGE), picture(readImports())));
}
