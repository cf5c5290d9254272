/** Hugging Face caches in temporary directories. */
import { dirname } from "node:path";
import { TINY } from "../cli/program.ts";
import { TemporaryDirectory } from "./container.ts";
import { exists } from "../exists.ts";

/** A link by its target, or a file by its text. */
export type Entry = { readonly link: string } | { readonly text: string };

/** An empty cache, which takes what huggingface_hub would put there. */
export class Cache extends TemporaryDirectory {
  /** Makes files and links by their paths. */
  make(tree: Readonly<Record<string, Entry>>): void {
    for (const [path, entry] of Object.entries(tree)) {
      if ("text" in entry) this.write(path, entry.text);
      else {
        Deno.mkdirSync(dirname(`${this.path}/${path}`), { recursive: true });
        Deno.symlinkSync(entry.link, `${this.path}/${path}`);
      }
    }
  }

  /**
   * Puts the embedded model there under a name.
   *
   * @param left Files that were not downloaded.
   * @param below Folder of the repository that the files are in.
   * @returns The snapshot's directory.
   */
  model(repository: string, { commit = "a".repeat(40), ref = "main", left = [] as string[], below = "" } = {}): string {
    const folder = `models--${repository.replaceAll("/", "--")}`, snapshot = `${folder}/snapshots/${commit}`;
    this.write(`${folder}/refs/${ref}`, commit);
    Deno.mkdirSync(`${this.path}/${snapshot}`, { recursive: true });
    const files = [...Deno.readDirSync(TINY)].filter((entry) => entry.isFile).map(({ name }) => name).sort();
    Deno.mkdirSync(`${this.path}/${folder}/blobs`, { recursive: true });
    for (const [i, name] of files.entries()) {
      if (left.includes(name)) continue;
      const etag = `${i}`.padStart(40, "0"), up = "../".repeat(2 + below.split("/").length - 1);
      if (!exists(`${this.path}/${folder}/blobs/${etag}`)) {
        Deno.copyFileSync(`${TINY}/${name}`, `${this.path}/${folder}/blobs/${etag}`);
      }
      this.make({ [`${snapshot}/${below}${name}`]: { link: `${up}blobs/${etag}` } });
    }
    return `${this.path}/${snapshot}`;
  }
}
