#!/usr/bin/env node
// Starts mxoss with the Deno that npm has installed beside it, and ends as it ends.
"use strict";
const { spawn } = require("node:child_process");
const { isIPv6 } = require("node:net");
const { join } = require("node:path");

// Permissions of every command line, of those that name something to write, and of the server: tools/package/launch.ts.
const FLAGS = "@FLAGS@".split(" "), WRITE_PERMISSION = "@WRITE_PERMISSION@", NET_PERMISSION = "@NET_PERMISSION@";

const args = process.argv.slice(2);
const end = args.indexOf("--"), options = end < 0 ? args : args.slice(0, end);
// Options that have something written: --out, and a GPU, as what its self-tests found is kept.
const names = (word) => /^--out(?:$|=)|^(?:--backend=)?(?:hip|cuda)$/.test(word);
const writes = args[0] === "chat" || options.some(names);

/** Says in one line why it cannot be started. */
function die(why) {
  process.stderr.write(`error: ${why}\n`);
  process.exit(1);
}

/** Path of the Deno executable. */
function deno() {
  try {
    return require("deno/install_api.cjs").runInstall();
  } catch (thrown) {
    die(`Deno, which npm installs beside mxoss, is not there: ${String(thrown.message).split("\n")[0]}`);
  }
}

// A terminal sends these to both; anybody else to this process only. The program decides what they do. Before it is
// started, so that none is missed.
const atTerminal = process.stdin.isTTY || process.stderr.isTTY;
process.on("SIGINT", () => atTerminal || child.kill("SIGINT"));
process.on("SIGHUP", () => atTerminal || child.kill("SIGHUP"));
process.on("SIGTERM", () => child.kill("SIGTERM"));

// Ranks that are processes meet at an address. Deno knows no ranges of IPv6 addresses.
const { env } = process, sizes = ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];
const meets = sizes.some((name) => env[name]), master = (env.MASTER_ADDR ?? "").replace(/^\[|\]$/g, "");
const master6 = meets && isIPv6(master) && !master.includes("%") ? `,[${master}]` : "";
const net = args[0] === "serve" || meets ? [NET_PERMISSION + master6] : [];
const permissions = [...FLAGS, ...(writes ? [WRITE_PERMISSION] : []), ...net];
const words = ["run", "--quiet", "--cached-only", ...permissions];
const child = spawn(deno(), [...words, join(__dirname, "main.js"), ...args], {
  stdio: "inherit",
  env: { ...process.env, DENO_NO_UPDATE_CHECK: "1" },
});
child.on("error", (thrown) => die(`Deno cannot be started: ${thrown.message}`));
child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
