/** How the script of the self-extracting binary unpacks and starts the program. */
import { ADDRESSES, VARIABLES } from "../../src/cli/permissions.ts";
import { wrap } from "../../tools/package/self_extracting.ts";
import { concat } from "../../tools/package/tar.ts";
import { assert, assertEquals } from "../assert.ts";
import { copyExecutable } from "../executable.ts";
import { everyNth } from "../soak.ts";
import { command, run, runThroughAll, whereIs, works } from "./process.ts";
import { BINARY, encode, FILLING, refused, shells, unpacked, until, withBinary } from "./stub.ts";
import { exists } from "../exists.ts";

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

  Deno.test(`the script may write only with --out or a GPU, and listen only for serve or ranks, in ${name}`, () =>
    withBinary(async (dir, binary) => {
      const flags = async (args: readonly string[], more: Readonly<Record<string, string>> = {}) => {
        const env = { HOME: dir, PATH: Deno.env.get("PATH")!, ...more };
        const { stdout } = await run([...shell, binary, ...args], { env });
        return stdout.split("\n").filter((line) => line.startsWith("--allow-") || line.startsWith("--no-prompt"));
      };
      const always = ["--no-prompt", "--allow-read", "--allow-ffi", `--allow-env=${VARIABLES.join(",")}`];
      assertEquals(await flags(["logits"]), always);
      assertEquals(await flags(["--output", "x--out"]), always);
      assertEquals(await flags(["logits", "--out", "f, g"]), [...always, "--allow-write=/"]);
      assertEquals(await flags(["logits", "--out=f"]), [...always, "--allow-write=/"]);
      assertEquals(await flags(["--", "--out=f"]), always);
      assertEquals(await flags(["--backend", "cuda", "Hi"]), [...always, "--allow-write=/"]);
      assertEquals(await flags(["eval", "--backend=hip"]), [...always, "--allow-write=/"]);
      assertEquals(await flags(["--backend=reference", "Hi"]), always);
      assertEquals(await flags(["chat"]), [...always, "--allow-write=/"]);
      assertEquals(await flags(["what", "chat"]), always);
      const net = `--allow-net=${ADDRESSES.join(",")}`;
      assertEquals(await flags(["serve", "--port=0"]), [...always, net]);
      assertEquals(await flags(["generate", "serve"]), always);
      const masters = [["[fd00::2]", ",[fd00::2]"], ["10.1.2.3", ""], ["fd::$(ls)", ""], ["::1", ",[::1]"]] as const;
      for (const [address, more] of everyNth(4, masters)) {
        assertEquals(await flags(["Hi"], { WORLD_SIZE: "2", MASTER_ADDR: address }), [...always, net + more]);
      }
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
        "started",
      ]);
    }));
}

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
      const tools = [
        "cat",
        "find",
        "gzip",
        "id",
        "ls",
        "mkdir",
        "mktemp",
        "mv",
        "rm",
        "rmdir",
        "sync",
        "tail",
        "tar",
        "wc",
      ];
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
      refused(await runThroughAll(words, env), /(crc|corrupt|invalid|short)/);
    }),
});

Deno.test("the script is found by PATH, by a relative path and through a link", () =>
  withBinary(async (dir, binary) => {
    await Deno.symlink(binary, `${dir}/link`);
    const env = { HOME: dir, PATH: `${dir}:/usr/bin:/bin` };
    for (const words of [["sh", "-c", "mxoss"], ["sh", "-c", "./mxoss"], ["sh", "mxoss"], [`${dir}/link`]]) {
      await Deno.remove(`${dir}/.cache`, { recursive: true }).catch(() => {});
      assertEquals((await run(words, { cwd: dir, env })).code, 7, words.join(" "));
    }
  }));

/**
 * Runs $2 from directory $1 with a full file system of 200 KiB as every place, and lists the files that are on it
 * afterwards.
 */
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
    refused(await runThroughAll(limited, env), /cache\/mxoss: tar: [^;]+; .*\.cache\/mxoss: tar: /);
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
      // Until something is unpacked: one that is killed while it only makes the place may leave that, for a day.
      const inside = (path: string) => exists(path) ? [...Deno.readDirSync(path)].map(({ name }) => name) : [];
      const place = `${dir}/.cache/mxoss`;
      await until(() => inside(place).some((name) => inside(`${place}/${name}`).length > 0));
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
    for (const name of ["main.js", "deno", "complete", "models/tiny/weights"]) {
      await Deno.remove(`${unpacked(`${dir}/.cache/mxoss`)}/${name}`);
      assertEquals((await run([binary], { env })).code, 7);
      assert(exists(`${unpacked(`${dir}/.cache/mxoss`)}/${name}`));
    }
  }));

Deno.test("the program starts where the time of its start cannot be written", () =>
  withBinary(async (dir, binary) => {
    const env = { HOME: dir };
    for (const shell of shells) {
      await run([...shell, binary], { env: { ...env, PATH: Deno.env.get("PATH")! } });
      const program = unpacked(`${dir}/.cache/mxoss`);
      await Deno.remove(`${program}/started`, { recursive: true });
      await Deno.mkdir(`${program}/started`);
      const { code, stderr } = await run([...shell, binary], { env: { ...env, PATH: Deno.env.get("PATH")! } });
      assertEquals({ code, stderr }, { code: 7, stderr: "" }, shell.join(" "));
    }
  }));

Deno.test("a first start removes other versions that were not used for a month", () =>
  withBinary(async (dir, binary) => {
    const env = { HOME: dir }, place = `${dir}/.cache/mxoss`, days = 24 * 3600;
    const age = (path: string, seconds: number) =>
      Deno.utime(path, Date.now() / 1000 - seconds, Date.now() / 1000 - seconds);
    const version = async (digit: string, complete: number, started: number | null) => {
      const program = `${place}/0.0.1-${digit.repeat(16)}`;
      await Deno.mkdir(`${program}/models`, { recursive: true });
      await Deno.writeTextFile(`${program}/complete`, "");
      if (started !== null) {
        await Deno.writeTextFile(`${program}/started`, "");
        await age(`${program}/started`, started);
      }
      await age(`${program}/complete`, complete);
      return program;
    };
    const old = await version("a", 40 * days, 33 * days), older = await version("b", 33 * days, null);
    const used = await version("c", 400 * days, 29 * days), fresh = await version("d", 20 * days, null);
    const running = await version("e", 400 * days, 400 * days);
    copyExecutable((await whereIs("sleep"))!, `${running}/deno`);
    await using process = command([`${running}/deno`, "86400"]).spawn();
    // What the program has not made it does not remove.
    await Deno.mkdir(`${place}/0.0.1-not-a-version`);
    await Deno.mkdir(`${dir}/elsewhere`);
    await Deno.symlink(`${dir}/elsewhere`, `${place}/0.0.1-${"f".repeat(16)}`);
    await Deno.writeTextFile(`${dir}/elsewhere/complete`, "");
    await age(`${dir}/elsewhere/complete`, 400 * days);

    assertEquals((await run([binary], { env })).code, 7);
    assertEquals([old, older, used, fresh, running].map(exists), [false, false, true, true, true]);
    assert(exists(`${place}/0.0.1-not-a-version`) && exists(`${dir}/elsewhere/complete`));
    assertEquals([...Deno.readDirSync(place)].length, 6);

    process.kill();
    await process.status;
    const program = [...Deno.readDirSync(place)].map(({ name }) => name).find((name) => !name.startsWith("0.0.1"))!;
    await Deno.remove(`${place}/${program}`, { recursive: true });
    assertEquals((await run([binary], { env })).code, 7);
    assertEquals(exists(running), false);
  }));

Deno.test("a runtime that cannot start here is not kept", async () => {
  const broken = await wrap([
    { path: "deno", bytes: encode("#!/bin/sh\necho 'libfoo.so: not found' >&2; exit 127\n"), executable: true },
    { path: "main.js", bytes: encode("// nothing\n") },
  ]);
  await withBinary(async (dir, binary) => {
    const cache = `${dir}/cache`;
    const env = { XDG_CACHE_HOME: cache, TMPDIR: dir };
    refused(
      await runThroughAll([binary], env),
      /cache\/mxoss: the unpacked runtime does not start: libfoo\.so: not found/,
    );
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
    refused(await runThroughAll([binary], { HOME: dir }), /: gzip: .*(crc|length|invalid|corrupt)/);
    assertEquals([...Deno.readDirSync(`${dir}/.cache`)], []);
  }, flipped);
});
