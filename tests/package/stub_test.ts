/** The script of the self-extracting binary, around a program that only says how it was started. */
import { wrap } from "../../tools/package/self_extracting.ts";
import { concat, tar } from "../../tools/package/tar.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { command, type Finished, inDirectory, run, type RunOptions, whereIs, works } from "./process.ts";

/** Shells that the script must run in, of those that are here. */
const SHELLS: readonly (readonly string[])[] = [["sh"], ["dash"], ["bash", "--posix"], ["busybox", "sh"]];
const found = await Promise.all(SHELLS.map((shell) => works([...shell, "-c", ":"])));
const shells = SHELLS.filter((_, i) => found[i]);

/** Stands in for Deno: prints its arguments, one a line, then what the script told it by the environment. */
const RUNTIME = `#!/bin/sh
if [ "$1" = --version ]; then [ -z "$SLOW" ] || exec sleep "$SLOW"; exit 0; fi
printf '%s\\n' "$@" "DENO_DIR=$DENO_DIR" "LC_ALL=\${LC_ALL-unset}" "PATH=\${PATH-unset}"
exit 7
`;
const encode = (text: string) => new TextEncoder().encode(text);

/** Bytes that gzip cannot make small: a disk can be too full for them. */
const FILLING = new Uint8Array(400_000);
for (let at = 0; at < FILLING.length; at += 50_000) crypto.getRandomValues(FILLING.subarray(at, at + 50_000));

const BINARY = await wrap(tar([
  { path: "deno", bytes: encode(RUNTIME), executable: true },
  { path: "main.js", bytes: encode("// nothing\n") },
  { path: "models/tiny/weights", bytes: FILLING },
]));

/** A directory with the binary, for one test. */
async function withBinary(use: (dir: string, binary: string) => Promise<void>, bytes = BINARY): Promise<void> {
  await inDirectory(async (dir) => {
    await Deno.writeFile(`${dir}/mxoss`, bytes, { mode: 0o755 });
    await use(dir, `${dir}/mxoss`);
  });
}

/** The one program that is unpacked in a place. */
function unpacked(place: string): string {
  const names = [...Deno.readDirSync(place)].map(({ name }) => name);
  assertEquals(names.length, 1, names.join(" "));
  assertMatch(names[0]!, /^\d+\.\d+\.\d+-[0-9a-f]{16}$/);
  assertEquals(Deno.readTextFileSync(`${place}/${names[0]}/complete`), `${names[0]}\n`);
  return `${place}/${names[0]}`;
}

function refused({ code, stdout, stderr }: Finished, reason: RegExp): void {
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^error: [^\n]+\n$/);
  assertMatch(stderr, reason);
}

for (const shell of shells) {
  const name = shell.join(" ");

  Deno.test(`the script unpacks and starts the program in ${name}, with the arguments untouched`, () =>
    withBinary(async (dir, binary) => {
      const args = ["a b", "", "*", "$HOME", "'\"", "--", "--out"];
      const first = await run([...shell, binary, ...args], { env: { HOME: dir, PATH: Deno.env.get("PATH")! } });
      const program = unpacked(`${dir}/.cache/mxoss`);
      assertEquals([first.code, first.stderr], [7, ""]);
      const lines = first.stdout.split("\n");
      assertEquals(lines[0], "run");
      assertEquals(lines.slice(lines.indexOf(`${program}/main.js`) + 1), [
        ...args,
        `DENO_DIR=${program}/state`,
        "LC_ALL=unset",
        `PATH=${Deno.env.get("PATH")}`,
        "",
      ]);
      assertEquals(await run([...shell, binary, ...args], { env: { HOME: dir, PATH: Deno.env.get("PATH")! } }), first);
      assertEquals(Deno.readFileSync(`${program}/models/tiny/weights`), FILLING);
    }));

  Deno.test(`the script asks for permission to write only with --out in ${name}`, () =>
    withBinary(async (dir, binary) => {
      const flags = async (args: readonly string[]) => {
        const { stdout } = await run([...shell, binary, ...args], { env: { HOME: dir, PATH: Deno.env.get("PATH")! } });
        return stdout.split("\n").filter((line) => line.startsWith("--allow-") || line.startsWith("--no-prompt"));
      };
      const always = ["--no-prompt", "--allow-read", "--allow-ffi", "--allow-env=MXOSS_TRACE,ROCM_PATH,HIP_PATH"];
      assertEquals(await flags(["logits"]), always);
      assertEquals(await flags(["--output", "x--out"]), always);
      assertEquals(await flags(["logits", "--out", "f, g"]), [...always, "--allow-write=/"]);
      assertEquals(await flags(["logits", "--out=f"]), [...always, "--allow-write=/"]);
      assertEquals(await flags(["--", "--out=f"]), always);
    }));

  Deno.test(`the script unpacks once where several first starts meet in ${name}`, () =>
    withBinary(async (dir, binary) => {
      const start = () => run([...shell, binary, "x"], { env: { HOME: dir, PATH: Deno.env.get("PATH")! } });
      const all = await Promise.all(Array.from({ length: 8 }, start));
      for (const { code, stderr } of all) assertEquals({ code, stderr }, { code: 7, stderr: "" });
      const program = unpacked(`${dir}/.cache/mxoss`);
      assertEquals([...Deno.readDirSync(program)].map(({ name }) => name).sort(), [
        "complete",
        "deno",
        "main.js",
        "models",
      ]);
    }));
}

Deno.test("the script takes the first place that can be had, without any variable set, too", () =>
  withBinary(async (dir, binary) => {
    const directory = (name: string) => {
      Deno.mkdirSync(`${dir}/${name}`);
      return `${dir}/${name}`;
    };
    const home = directory("home"), temporary = directory("tmp"), cache = `${dir}/cache`;
    const user = Deno.uid();
    const places: [RunOptions["env"], string][] = [
      [{ XDG_CACHE_HOME: cache, HOME: home, TMPDIR: temporary }, `${cache}/mxoss`],
      [{ XDG_CACHE_HOME: "relative", HOME: home, TMPDIR: temporary }, `${home}/.cache/mxoss`],
      // Not even root can make a directory there.
      [{ XDG_CACHE_HOME: "/proc/cache", HOME: "/proc", TMPDIR: temporary }, `${temporary}/mxoss-${user}`],
      [{ HOME: `${dir}/missing`, TMPDIR: "/proc" }, `/tmp/mxoss-${user}`],
      [{}, `/tmp/mxoss-${user}`],
    ];
    for (const [env, place] of places) {
      const { code, stdout, stderr } = await run([binary], { cwd: home, ...(env ? { env } : {}) });
      assertEquals({ code, stderr }, { code: 7, stderr: "" });
      const program = /^DENO_DIR=(.*)\/state$/m.exec(stdout)![1]!;
      assertEquals(program.slice(0, program.lastIndexOf("/")), place);
      await Deno.remove(program, { recursive: true });
    }
    assertEquals([...Deno.readDirSync(home)].map(({ name }) => name), [".cache"]);
  }));

Deno.test("the script runs with only the system's own directories and without a PATH", () =>
  withBinary(async (dir, binary) => {
    for (const PATH of ["/nowhere", ""]) {
      await Deno.remove(`${dir}/.cache`, { recursive: true }).catch(() => {});
      const { code, stdout } = await run([binary], { env: { HOME: dir, PATH } });
      assertEquals([code, stdout.split("\n").at(-2)], [7, `PATH=${PATH}`]);
    }
  }));

const busybox = shells.some(([name]) => name === "busybox");
Deno.test({
  name: `the script needs no more than busybox${busybox ? "" : " (skipped: there is none)"}`,
  ignore: !busybox,
  fn: () =>
    withBinary(async (dir, binary) => {
      const box = (await whereIs("busybox"))!;
      await Deno.mkdir(`${dir}/bin`);
      const tools = ["cat", "find", "gzip", "id", "mkdir", "mktemp", "mv", "rm", "rmdir", "sync", "tail", "tar", "wc"];
      for (const tool of tools) await Deno.symlink(box, `${dir}/bin/${tool}`);
      const words = [box, "sh", binary];
      const env = { HOME: dir, PATH: `${dir}/bin` };
      const { code, stderr } = await run(words, { env });
      assertEquals({ code, stderr }, { code: 7, stderr: "" });
      assertEquals(Deno.readFileSync(`${unpacked(`${dir}/.cache/mxoss`)}/models/tiny/weights`), FILLING);

      await Deno.remove(`${dir}/.cache`, { recursive: true });
      const flipped = Uint8Array.from(BINARY);
      flipped[flipped.length - 5_000]! ^= 1;
      await Deno.writeFile(binary, flipped);
      refused(await run(words, { env }), /(crc|corrupt|invalid|short)/);
    }),
});

Deno.test({
  name: `a place that belongs to another user is not trusted${
    Deno.uid() === 0 ? "" : " (skipped: needs root to set up)"
  }`,
  ignore: Deno.uid() !== 0,
  fn: () =>
    withBinary(async (dir, binary) => {
      const env = { HOME: dir, TMPDIR: `${dir}/tmp` };
      await run([binary], { env });
      const place = `${dir}/.cache/mxoss`;
      const program = unpacked(place);
      for (const theirs of [place, program]) {
        await Deno.chown(theirs, 65534, 65534);
        await Deno.mkdir(`${dir}/tmp`);
        const { stdout } = await run([binary], { env });
        const used = /^DENO_DIR=(.*)\/state$/m.exec(stdout)![1]!;
        assertEquals(used.startsWith(theirs === place ? `${dir}/tmp/` : `${place}/`), true);
        assertEquals((await Deno.stat(used)).uid, 0);
        await Deno.chown(theirs, 0, 0);
        await Deno.remove(`${dir}/tmp`, { recursive: true });
      }
    }),
});

Deno.test("a link where anybody may make one is not followed", () =>
  withBinary(async (dir, binary) => {
    await Deno.mkdir(`${dir}/tmp`);
    await Deno.mkdir(`${dir}/elsewhere`);
    await Deno.symlink(`${dir}/elsewhere`, `${dir}/tmp/mxoss-${Deno.uid()}`);
    const { stdout } = await run([binary], { env: { TMPDIR: `${dir}/tmp` } });
    const used = /^DENO_DIR=(.*)\/state$/m.exec(stdout)![1]!;
    assertMatch(used, /^\/tmp\/mxoss-\d+\/\d/);
    assertEquals([...Deno.readDirSync(`${dir}/elsewhere`)], []);
    await Deno.remove(used, { recursive: true });
  }));

Deno.test("the script is found by PATH, by a relative path and through a link", () =>
  withBinary(async (dir, binary) => {
    await Deno.symlink(binary, `${dir}/link`);
    const env = { HOME: dir, PATH: `${dir}:/usr/bin:/bin` };
    for (const words of [["sh", "-c", "mxoss"], ["sh", "-c", "./mxoss"], ["sh", "mxoss"], [`${dir}/link`]]) {
      await Deno.remove(`${dir}/.cache`, { recursive: true }).catch(() => {});
      assertEquals((await run(words, { cwd: dir, env })).code, 7, words.join(" "));
    }
  }));

/** Runs $2 from directory $1 with a full file system of 200 KiB as every place, and lists the files that are on it afterwards. */
const ON_FULL_DISK = `
  mount --bind "$1" /mnt && mount -t tmpfs -o size=200k none /tmp && mount --bind /tmp /var/tmp || exit 99
  env HOME=/tmp "/mnt/$2"; code=$?; find /tmp -type f; exit $code`;
const mayMount = await works(["unshare", "-rm", "mount", "--bind", "/tmp", "/mnt"]);

Deno.test({
  name: `a full disk leaves nothing and is said in one line${mayMount ? "" : " (skipped: mounting is not permitted)"}`,
  ignore: !mayMount,
  fn: () =>
    withBinary(async (dir) => {
      const words = ["unshare", "-rm", "sh", "-c", ON_FULL_DISK, "sh", dir, "mxoss"];
      const finished = await run(words, { env: { PATH: Deno.env.get("PATH")! } });
      refused(finished, /unpacked, which takes 1 MB: \/tmp\/\.cache\/mxoss: tar: [^;]+; \/tmp\/mxoss-0: tar: /);
    }),
});

Deno.test("a place where files cannot be as large as needed is left for another", () =>
  withBinary(async (dir, binary) => {
    const cache = `${dir}/cache`;
    await Deno.mkdir(cache);
    const env = { XDG_CACHE_HOME: cache, HOME: dir, TMPDIR: cache, PATH: Deno.env.get("PATH")! };
    // The limit is in blocks of 512 bytes.
    const limited = ["sh", "-c", 'trap "" XFSZ; ulimit -f 300; exec "$0"', binary];
    refused(await run(limited, { env }), /cache\/mxoss: tar: [^;]+; .*\.cache\/mxoss: tar: /);
    assertEquals([...Deno.readDirSync(cache), ...Deno.readDirSync(`${dir}/.cache`)], []);
    assertEquals((await run([binary], { env })).code, 7);
  }));

Deno.test("a killed first start leaves no broken program", () =>
  withBinary(async (dir, binary) => {
    const env = { HOME: dir, PATH: Deno.env.get("PATH")! };
    for (const signal of ["SIGKILL", "SIGTERM", "SIGINT"] as const) {
      await Deno.remove(`${dir}/.cache`, { recursive: true }).catch(() => {});
      // A session of its own, to end all its processes at once like a closed terminal or a cgroup.
      const child = command(["setsid", binary], { env: { ...env, SLOW: "60" } }).spawn();
      await until(() => exists(`${dir}/.cache/mxoss`) && [...Deno.readDirSync(`${dir}/.cache/mxoss`)].length > 0);
      // Again until all are gone: a shell that is just forking can miss a signal.
      let success: boolean | undefined;
      const ended = child.output().then((output) => success = output.success);
      for (let first = true; success === undefined; first = false) {
        const { code } = await run(["kill", `-${signal.slice(3)}`, "--", `-${child.pid}`], { env });
        if (first) assertEquals(code, 0);
        await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 100))]);
      }
      assertEquals(success, false);
      const left = [...Deno.readDirSync(`${dir}/.cache/mxoss`)].map(({ name }) => name);
      if (signal !== "SIGKILL") assertEquals(left, []);
      else assert(left.length === 1 && left[0]!.startsWith(".part."), left.join(" "));
      assertEquals((await run([binary], { env })).code, 7);
    }
    unpacked(`${dir}/.cache/mxoss`);
  }));

Deno.test("what a killed first start left is removed a day later", () =>
  withBinary(async (dir, binary) => {
    const place = `${dir}/.cache/mxoss`;
    for (const name of [".part.old", ".part.new"]) await Deno.mkdir(`${place}/${name}/models`, { recursive: true });
    const days = 2 * 24 * 3600;
    await Deno.utime(`${place}/.part.old`, Date.now() / 1000 - days, Date.now() / 1000 - days);
    assertEquals((await run([binary], { env: { HOME: dir } })).code, 7);
    assertEquals([exists(`${place}/.part.old`), exists(`${place}/.part.new`)], [false, true]);
  }));

Deno.test("a program that lost a file is unpacked again", () =>
  withBinary(async (dir, binary) => {
    const env = { HOME: dir };
    await run([binary], { env });
    for (const name of ["main.js", "deno", "complete"]) {
      await Deno.remove(`${unpacked(`${dir}/.cache/mxoss`)}/${name}`);
      assertEquals((await run([binary], { env })).code, 7);
      assert(exists(`${unpacked(`${dir}/.cache/mxoss`)}/${name}`));
    }
  }));

Deno.test("a runtime that cannot start here is not kept", async () => {
  const broken = await wrap(tar([
    { path: "deno", bytes: encode("#!/bin/sh\necho 'libfoo.so: not found' >&2; exit 127\n"), executable: true },
    { path: "main.js", bytes: encode("// nothing\n") },
  ]));
  await withBinary(async (dir, binary) => {
    const cache = `${dir}/cache`;
    const env = { XDG_CACHE_HOME: cache, TMPDIR: dir };
    refused(await run([binary], { env }), /cache\/mxoss: the unpacked runtime does not start: libfoo\.so: not found/);
    assertEquals([...Deno.readDirSync(cache)], []);
  }, broken);
});

Deno.test("a truncated or damaged binary is refused before and after unpacking", async () => {
  const flipped = Uint8Array.from(BINARY);
  flipped[flipped.length - 5_000]! ^= 1;
  for (const bytes of [BINARY.slice(0, -1), BINARY.slice(0, BINARY.length / 2), concat([BINARY, encode("x")])]) {
    await withBinary(async (dir, binary) => {
      const finished = await run([binary], { env: { HOME: dir } });
      refused(finished, /: expected \d+ bytes, got \d+: the file is damaged/);
      assertEquals(exists(`${dir}/.cache`), false);
    }, bytes);
  }
  await withBinary(async (dir, binary) => {
    refused(await run([binary], { env: { HOME: dir } }), /: gzip: .*(crc|length|invalid|corrupt)/);
    assertEquals([...Deno.readDirSync(`${dir}/.cache`)], []);
  }, flipped);
});

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("waited in vain");
}
