/** Safetensors files by hand, well-formed or not, without the code under test. */

/** One tensor of a header. */
export interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Bytes of a file: length, header, data. */
export function container(header: string | Record<string, unknown>, data = new Uint8Array(0)): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

/** A tensor outside of any file. */
export interface StoredNumbers {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Bytes of a well-formed file with these tensors, one after the other. */
export function fileOf(tensors: Iterable<readonly [string, StoredNumbers]>): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = {};
  const data: number[] = [];
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [data.length, data.length + bytes.length] };
    for (const byte of bytes) data.push(byte);
  }
  return container(header, Uint8Array.from(data));
}

/** Changes the tensors of a small well-formed file. */
export function rewrite(path: string, change: (tensors: Map<string, StoredNumbers>) => void): void {
  const file = Deno.readFileSync(path);
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const tensors = new Map<string, StoredNumbers>();
  const header: Record<string, Entry> = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  delete header["__metadata__"];
  for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries(header)) {
    tensors.set(name, { dtype, shape, bytes: file.slice(8 + length + start, 8 + length + end) });
  }
  change(tensors);
  Deno.writeFileSync(path, fileOf(tensors));
}

/**
 * A parent of temporary directories whose names, as seen from the checkout, are short: lines about errors are cut, and
 * what the cut leaves must not depend on where the system has its temporary files. Git ignores it.
 */
export const SHORT = new URL("../../.cache", import.meta.url).pathname;

/** An empty directory that is removed at the end of the scope. */
export class TemporaryDirectory implements Disposable {
  readonly path: string;

  /** @param parent Where it is made; without it in the system's folder for temporary files. */
  constructor(parent?: string) {
    if (parent !== undefined) Deno.mkdirSync(parent, { recursive: true });
    this.path = Deno.makeTempDirSync({ prefix: "mxoss-test-", ...(parent === undefined ? {} : { dir: parent }) });
  }

  /** Writes a file and gives its path. */
  write(name: string, content: string | Uint8Array | Record<string, unknown>): string {
    const path = `${this.path}/${name}`;
    const slash = path.lastIndexOf("/");
    Deno.mkdirSync(path.slice(0, slash), { recursive: true });
    if (content instanceof Uint8Array) Deno.writeFileSync(path, content);
    else Deno.writeTextFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    return path;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Asserts that `run` refuses with exactly one line, and gives the line with the directory's path cut off. */
export function refusal(run: () => unknown, dir: string, InputError: new (message: string) => Error): string {
  try {
    run();
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    if (/[\r\n\u2028\u2029]/.test(thrown.message)) throw new Error(`more than one line: ${thrown.message}`);
    return thrown.message.replaceAll(`${dir}/`, "");
  }
  throw new Error("expected a refusal, got none");
}
