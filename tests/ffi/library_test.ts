import { assertEquals, assertThrows } from "../assert.ts";
import { GpuLibraryError } from "../../ffi/errors.ts";
import { openCuda } from "../../ffi/cuda.ts";
import { openHip } from "../../ffi/hip.ts";
import { compile } from "../build_once.ts";
import { buildProbe, findCompiler, withoutCompiler } from "../hip_host/build.ts";

const ignore = withoutCompiler();
const MODULE = new URL("../../ffi/hip.ts", import.meta.url);

Deno.test("openHip() says where it looked for a library that is not there", () => {
  const error = assertThrows(() => openHip("/nowhere/libamdhip64.so"), GpuLibraryError);
  assertEquals(error.why, "missing");
  assertEquals(
    error.message,
    "libamdhip64 (HIP): not found as /nowhere/libamdhip64.so; " +
      "install ROCm, or name the library with hipLibrary or ROCM_PATH",
  );
});

Deno.test("openHip() says what is wrong with a file that is no library", () => {
  const file = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(
      file,
      "not a library, and longer than the header of one, which has 64 bytes of its own, so that it is read",
    );
    const error = assertThrows(() => openHip(file), GpuLibraryError, `${file}: invalid ELF header`);
    assertEquals(error.exitCode, 1);
  } finally {
    Deno.removeSync(file);
  }
});

Deno.test("openHip() does not wait for what is written to a pipe, nor does the driver's start", async () => {
  const pipe = Deno.makeTempFileSync();
  Deno.removeSync(pipe);
  assertEquals(new Deno.Command("mkfifo", { args: [pipe] }).outputSync().code, 0);
  const warm = new URL("../../ffi/warm.ts", import.meta.url);
  const script = `import { openHip } from ${JSON.stringify(MODULE.href)};
    import { warmDriver } from ${JSON.stringify(warm.href)};
    const pipe = ${JSON.stringify(pipe)};
    await warmDriver("hip", 0, pipe)[Symbol.asyncDispose]();
    try { openHip(pipe); } catch (error) { console.log(error.message); }`;
  const args = ["eval", "--quiet", "--no-lock", "--allow-ffi", "--allow-read", script];
  const end = new AbortController(), timer = setTimeout(() => end.abort(), 60_000);
  try {
    const { stdout } = await new Deno.Command(Deno.execPath(), { args, stderr: "inherit", signal: end.signal })
      .output();
    assertEquals(
      new TextDecoder().decode(stdout).trim(),
      `libamdhip64 (HIP): ${pipe}: is no file; install ROCm, or name the library with hipLibrary or ROCM_PATH`,
    );
  } finally {
    clearTimeout(timer);
    Deno.removeSync(pipe);
  }
});

Deno.test({ name: "openHip() names the function that a library lacks", ignore }, () => {
  const library = /kernels (.*)\n/.exec(new TextDecoder().decode(buildProbe()))![1]!;
  const error = assertThrows(() => openHip(library), GpuLibraryError);
  assertEquals(error.why, "symbol");
  assertEquals(
    /^.*: has no function hip[A-Za-z]+, expected ROCm 5.2 or newer$/.test(error.message),
    true,
    error.message,
  );
});

Deno.test({ name: "openCuda() tells a missing dependency from a missing library", ignore }, () => {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${folder}/needed.cpp`, `extern "C" int needed() { return 1; }\n`);
    Deno.writeTextFileSync(
      `${folder}/user.cpp`,
      `extern "C" int needed(); extern "C" int cuInit() { return needed(); }\n`,
    );
    const shared = (file: string, ...args: string[]) => {
      compile(findCompiler()!, ["-fPIC", "-shared", "-o", `${folder}/lib${file}.so`, `${folder}/${file}.cpp`, ...args]);
      return `${folder}/lib${file}.so`;
    };
    const needed = shared("needed", "-Wl,-soname,libmxossneeded.so");
    const user = shared("user", "-Wl,--no-as-needed", needed);
    const error = assertThrows(() => openCuda(user), GpuLibraryError);
    assertEquals(
      error.message,
      `libcuda (CUDA): ${user}: needs libmxossneeded.so, which is not there; install the NVIDIA driver`,
    );
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("openHip() asks for the permission it needs, and does not prompt", () => {
  const script = `import { openHip } from ${JSON.stringify(MODULE.href)};
    try { openHip(); } catch (error) { console.log(error.message); }`;
  const { stdout } = runScript(script);
  assertEquals(
    new TextDecoder().decode(stdout).trim(),
    "libamdhip64 (HIP): loading it is not permitted; run with allow-ffi",
  );
});

function runScript(script: string): { stdout: Uint8Array } {
  const file = Deno.makeTempFileSync({ suffix: ".ts" });
  try {
    Deno.writeTextFileSync(file, script);
    const args = ["run", "--quiet", "--no-prompt", "--no-lock", file];
    return new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "inherit" }).outputSync();
  } finally {
    Deno.removeSync(file);
  }
}
