/** Where the script of the self-extracting binary unpacks the program, and which places it does not trust. */
import { assertEquals, assertMatch } from "../assert.ts";
import { run, type RunOptions, withUsersPlace } from "./process.ts";
import { shells, startedFrom, unpacked, withBinary } from "./stub.ts";

/** Only root can make what belongs to others. */
const root = Deno.uid() === 0;

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
      await withUsersPlace(async () => {
        const finished = await run([binary], { cwd: home, ...(env ? { env } : {}) });
        assertEquals([finished.code, finished.stderr], [7, ""]);
        const program = startedFrom(finished);
        assertEquals(program.slice(0, program.lastIndexOf("/")), place);
        await Deno.remove(program, { recursive: true });
        leave(`/tmp/mxoss-${user}`);
      });
    }
    assertEquals([...Deno.readDirSync(home)].map(({ name }) => name), [".cache"]);
  }));

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
        const finished = await run([binary], { env });
        const used = startedFrom(finished);
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
    await withUsersPlace(async () => {
      const finished = await run([binary], { env: { TMPDIR: `${dir}/tmp` } });
      const used = startedFrom(finished);
      assertMatch(used, /^\/tmp\/mxoss-\d+\/\d/);
      assertEquals([...Deno.readDirSync(`${dir}/elsewhere`)], []);
      await Deno.remove(used, { recursive: true });
      leave(`/tmp/mxoss-${Deno.uid()}`);
    });
  }));

/** Removes a place that a test had to use, unless it holds something of the user's, or is gone. */
function leave(place: string): void {
  try {
    Deno.removeSync(place);
  } catch {
    // Directories are removed that are empty, and no others.
  }
}

/** A directory of the system's, as far as the user is concerned, with a place in it where anybody may write. */
const WAYS: readonly {
  readonly title: string;
  readonly trusted: boolean;
  readonly make: (dir: string) => Promise<string>;
}[] = [
  { title: "sticky, as /tmp is", trusted: true, make: (dir) => made(`${dir}/sticky`, 0o1777) },
  { title: "open to all", trusted: false, make: (dir) => made(`${dir}/open`, 0o777) },
  {
    title: "below one that is open to all",
    trusted: false,
    make: async (dir) => `${await made(`${dir}/open`, 0o777)}/own`,
  },
  { title: "open to a group", trusted: false, make: (dir) => made(`${dir}/group`, 0o770, 4242) },
  {
    title: "open to a group of the user's own number",
    trusted: true,
    make: (dir) => made(`${dir}/own`, 0o770, Deno.uid()!),
  },
  { title: "with a name of two lines", trusted: false, make: (dir) => made(`${dir}/two\nlines`, 0o700) },
  { title: "with a strange name", trusted: true, make: (dir) => made(`${dir}/ * d--------- 1 7 7 $(x)`, 0o700) },
];

async function made(path: string, mode: number, group?: number): Promise<string> {
  await Deno.mkdir(path);
  if (group !== undefined) await Deno.chown(path, null, group);
  await Deno.chmod(path, mode);
  return path;
}

for (const { title, trusted, make } of WAYS) {
  for (const variable of ["TMPDIR", "XDG_CACHE_HOME"]) {
    Deno.test({
      name: `${variable} ${title} is ${trusted ? "used" : "left alone"}${
        root ? "" : " (skipped: needs root to set up)"
      }`,
      ignore: !root,
      fn: () =>
        withBinary(async (dir, binary) => {
          const path = await make(dir);
          await Deno.mkdir(path, { recursive: true });
          for (const shell of variable === "TMPDIR" ? shells : [["sh"]]) {
            const finished = await run([...shell, binary], { env: { [variable]: path, PATH: Deno.env.get("PATH")! } });
            const program = startedFrom(finished);
            assertEquals([finished.code, finished.stderr], [7, ""]);
            assertEquals(program.startsWith(`${path}/`), trusted, `${shell.join(" ")}: ${program}`);
            assertEquals([...Deno.readDirSync(path)].length, trusted ? 1 : 0);
            await Deno.remove(program, { recursive: true });
          }
        }),
    });
  }
}

Deno.test({
  name: `a place of the user's own that others may write is left alone${
    root ? "" : " (skipped: needs root to set up)"
  }`,
  ignore: !root,
  fn: () =>
    withBinary(async (dir, binary) => {
      const place = `${dir}/.cache/mxoss`;
      await Deno.mkdir(place, { recursive: true });
      // Others can add what lies in it, also with the sticky bit.
      for (const mode of [0o777, 0o1777, 0o772]) {
        await Deno.chmod(place, mode);
        await withUsersPlace(async () => {
          const program = startedFrom(await run([binary], { env: { HOME: dir } }));
          assertMatch(program, /^\/tmp\/mxoss-0\//);
          await Deno.remove(program, { recursive: true });
          leave("/tmp/mxoss-0");
        });
      }
      await Deno.chmod(place, 0o755);
      assertEquals(startedFrom(await run([binary], { env: { HOME: dir } })), unpacked(place));
    }),
});

Deno.test("the user's own links to his cache are followed", () =>
  withBinary(async (dir, binary) => {
    await Deno.mkdir(`${dir}/disk`);
    await Deno.symlink(`${dir}/disk`, `${dir}/.cache`);
    for (let i = 0; i < 2; i++) {
      assertEquals(startedFrom(await run([binary], { env: { HOME: dir } })), unpacked(`${dir}/disk/mxoss`));
    }
  }));

for (const shell of shells) {
  Deno.test(`a current directory that was removed is named in one line in ${shell.join(" ")}`, () =>
    withBinary(async (dir, binary) => {
      const within = (then: string) => `mkdir "$1" && cd "$1" && ${then} && shift && exec "$@"`;
      const env = { HOME: dir, PATH: Deno.env.get("PATH")! };
      const started = (then: string) => run(["sh", "-c", within(then), "sh", `${dir}/gone`, ...shell, binary], { env });
      const { code, stdout, stderr } = await started('rmdir "$1"');
      // Some shells have said something of their own by then.
      assertEquals([code, stdout, stderr.trimEnd().split("\n").at(-1)], [
        1,
        "",
        "error: the current directory was removed",
      ]);
      assertEquals((await started(":")).code, 7);
    }));
}
