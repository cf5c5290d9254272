/** Copies of the embedded checkpoint with one thing wrong. */
import { TINY } from "./program.ts";

/** A safetensors header as JSON, in file order. */
export type Header = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;

/** Files of a checkpoint in a temporary directory; weights are linked until they are changed. */
export class BrokenCheckpoint implements Disposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "mxoss-broken-" });

  constructor() {
    for (const { name, isFile } of Deno.readDirSync(TINY)) {
      if (isFile) Deno.copyFileSync(`${TINY}/${name}`, this.path(name));
    }
  }

  path(name: string): string {
    return `${this.dir}/${name}`;
  }

  /** Replaces a file's text. */
  edit(name: string, change: (text: string) => string): void {
    Deno.writeTextFileSync(this.path(name), change(Deno.readTextFileSync(this.path(name))));
  }

  /** Changes config.json. */
  config(change: (config: Record<string, unknown>) => void): void {
    this.edit("config.json", (text) => {
      const config = JSON.parse(text);
      change(config);
      return JSON.stringify(config);
    });
  }

  /** Changes the bytes of model.safetensors. */
  bytes(change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array): void {
    Deno.writeFileSync(this.path(WEIGHTS), change(Deno.readFileSync(this.path(WEIGHTS))));
  }

  /** Changes the text of the header, and the data if need be. */
  headerText(change: (text: string, data: Uint8Array) => string | { text: string; data: Uint8Array }): void {
    this.bytes((bytes) => {
      const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
      const old = bytes.subarray(8 + length);
      const changed = change(new TextDecoder().decode(bytes.subarray(8, 8 + length)), old);
      const { text, data } = typeof changed === "string" ? { text: changed, data: old } : changed;
      const header = new TextEncoder().encode(text);
      const whole = new Uint8Array(8 + header.length + data.length);
      new DataView(whole.buffer).setBigUint64(0, BigInt(header.length), true);
      whole.set(header, 8);
      whole.set(data, 8 + header.length);
      return whole;
    });
  }

  /** Changes the parsed header. */
  header(change: (header: Header) => void): void {
    this.headerText((text) => {
      const header = JSON.parse(text) as Header;
      change(header);
      return JSON.stringify(header);
    });
  }

  /** Changes the data of one tensor in place. */
  tensor(name: string, change: (data: Uint8Array) => void): void {
    this.headerText((text, data) => {
      const [start, end] = (JSON.parse(text) as Header)[name]!.data_offsets;
      change(data.subarray(start, end));
      return text;
    });
  }

  /** Replaces model.safetensors by an index that names a shard. */
  index(shard: string): void {
    const names = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"];
    Deno.writeTextFileSync(
      this.path("model.safetensors.index.json"),
      JSON.stringify({ metadata: {}, weight_map: Object.fromEntries(names.map((name) => [name, shard])) }),
    );
    Deno.removeSync(this.path(WEIGHTS));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dir, { recursive: true });
  }
}

const WEIGHTS = "model.safetensors";
