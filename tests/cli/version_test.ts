import { revision } from "../../src/cli/version.ts";
import { assertEquals } from "../assert.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** A directory with the given files, as a URL. */
function directory(files: Readonly<Record<string, string>>): URL {
  const dir = Deno.makeTempDirSync();
  for (const [path, text] of Object.entries(files)) {
    Deno.mkdirSync(`${dir}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.writeTextFileSync(`${dir}/${path}`, text.replaceAll("<dir>", dir));
  }
  return new URL(`file://${dir}/`);
}

function revisionOf(files: Readonly<Record<string, string>>, below = ""): string {
  const root = directory(files);
  try {
    return revision(new URL(below, root));
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
}

Deno.test("revision() reads a branch, a packed branch and a detached HEAD", () => {
  assertEquals(revisionOf({ ".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": `${COMMIT}\n` }), COMMIT);
  assertEquals(
    revisionOf({
      ".git/HEAD": "ref: refs/heads/a/b\n",
      ".git/packed-refs": `# pack-refs with: peeled\n${"f".repeat(40)} refs/heads/x/a/b\n${COMMIT} refs/heads/a/b\n`,
    }),
    COMMIT,
  );
  assertEquals(revisionOf({ ".git/HEAD": `${COMMIT}\n` }), COMMIT);
});

Deno.test("revision() follows a linked working tree", () => {
  const files = {
    "tree/.git": "gitdir: <dir>/repo/.git/worktrees/tree\n",
    "repo/.git/worktrees/tree/HEAD": "ref: refs/heads/side\n",
    "repo/.git/worktrees/tree/commondir": "../..\n",
    "repo/.git/refs/heads/side": `${COMMIT}\n`,
  };
  assertEquals(revisionOf(files, "tree/"), COMMIT);
});

Deno.test("revision() of a standalone binary is what it was built from", () => {
  assertEquals(revisionOf({ "dist/revision.txt": `${COMMIT}-dirty\n` }), `${COMMIT}-dirty`);
});

Deno.test("revision() of a checkout does not heed an older build's file", () => {
  assertEquals(revisionOf({ ".git/HEAD": `${COMMIT}\n`, "dist/revision.txt": `${"f".repeat(40)}\n` }), COMMIT);
});

Deno.test("revision() is unknown where nothing says it", () => {
  assertEquals(revisionOf({}), "unknown");
  assertEquals(revisionOf({ ".git/HEAD": "ref: refs/heads/unborn\n" }), "unknown");
  assertEquals(revisionOf({ ".git/HEAD": "ref: refs/../../secret\n", "secret": `${COMMIT}\n` }), "unknown");
});
