/** `--model org/name` on the command line: what is found, what is written down, and what the process may look at. */
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { Cache } from "../checkpoint/hub_tree.ts";
import { SOAK } from "../soak.ts";
import { inProcess } from "./in_process.ts";
import { mxoss } from "./program.ts";

Deno.test("--model takes a name of the Hugging Face cache, and results say which snapshot it is", async () => {
  using cache = new Cache();
  const dir = cache.model("org/tiny"), commit = "a".repeat(40);
  const env = { HF_HUB_CACHE: cache.path, HF_HOME: "/nowhere" };
  const args = ["generate", "--model", "org/tiny", "--json", "--max-tokens", "1", "Hi"];
  // Who reads gives the environment up before the model is looked for.
  for (const weights of SOAK ? ["read", "map"] : ["read"]) {
    const { code, stdout, stderr } = await mxoss([...args, "--weights", weights], {
      env,
      variables: Object.keys(env),
    });
    assertEquals([code, stderr], [0, ""]);
    const { protocol } = JSON.parse(stdout);
    assertEquals([protocol.model, protocol.snapshot], [dir, `org/tiny@${commit}`]);
  }
});

Deno.test("a model that is not in the cache is one line with the command that downloads it", async () => {
  using cache = new Cache();
  cache.model("org/tiny");
  const compared = ["compare", "--text", "deno.json", "--b"];
  for (
    const args of [["inspect", "--model", "org/other"], ["--model=org/other", "Hi"], [...compared, "model=org/other"]]
  ) {
    const { code, stdout, stderr } = await inProcess(args, { env: { HF_HUB_CACHE: cache.path } });
    assertEquals([code, stdout], [2, ""]);
    assertEquals(
      stderr,
      `error: org/other: neither a directory nor in the Hugging Face cache ${cache.path}; ` +
        "to download it: hf download org/other\n",
    );
  }
  const { code, stderr } = await mxoss(["inspect", "--model", "org/other"]);
  assertEquals(code, 2);
  assertMatch(stderr, /^error: org\/other: no such directory, and the variables [^\n]+: hf download org\/other\n$/);
});

Deno.test("a snapshot without a tokenizer says what completes it", async () => {
  using cache = new Cache();
  cache.model("org/tiny", { left: ["tokenizer.json"] });
  const { code, stderr } = await inProcess(["--model", "org/tiny", "Hi"], { env: { HF_HUB_CACHE: cache.path } });
  assertEquals(code, 2);
  assertMatch(stderr, /^error: [^\n]*tokenizer\.json: [^\n]*complete it by: hf download org\/tiny\n$/);
});

Deno.test("eval calls models by their names, and results.json has the snapshot", async () => {
  using cache = new Cache();
  cache.model("org/tiny");
  cache.model("org/other", { commit: "b".repeat(40) });
  const text = cache.write("text.txt", "Ann has 4 apples and buys 12 more.");
  const models = ["--model", "org/tiny", "--model", `org/other@${"b".repeat(40)}`];
  const { code, stdout, stderr } = await inProcess(
    ["eval", "perplexity", "--text", text, "--limit", "4", "--divergence", "0", "--json", ...models],
    { env: { HF_HUB_CACHE: cache.path } },
  );
  assertEquals([code, stderr], [0, ""]);
  const { cells } = JSON.parse(stdout) as { cells: { asked: { model: string }; protocol: { snapshot: string } }[] };
  assertEquals(cells.map(({ asked, protocol }) => [asked.model, protocol.snapshot]), [
    ["tiny", `org/tiny@${"a".repeat(40)}`],
    ["other", `org/other@${"b".repeat(40)}`],
  ]);
  assert(cells.length === 2);
});
