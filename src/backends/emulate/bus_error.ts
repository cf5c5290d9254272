/**
 * One line instead of a silent death where a mapped file becomes shorter: a thread that then touches a page after its
 * end gets SIGBUS, in any thread, at any instruction. No check before a pass can rule that out, and copying the weights
 * would give up what mapping is for; so the signal gets a handler, which costs nothing until it is needed. It cannot be
 * JavaScript, since the thread that is hit never comes back to it: it is ten instructions that write a text made
 * beforehand and end the process with exit code 1.
 */
import { printableLine } from "../../printable.ts";

/** Linux values of the C constants. */
const SIGBUS = 7, PROT_READ_WRITE = 3, PROT_READ_EXEC = 5, MAP_PRIVATE_ANONYMOUS = 0x22;
/** struct sigaction of glibc on x86-64: handler, 128 bytes of mask, flags, restorer. */
const SIGACTION_BYTES = 152;

const LIBC = {
  // void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
  mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  // int mprotect(void *addr, size_t len, int prot)
  mprotect: { parameters: ["pointer", "usize", "i32"], result: "i32" },
  // int sigaction(int signum, const struct sigaction *act, struct sigaction *oldact)
  sigaction: { parameters: ["i32", "buffer", "pointer"], result: "i32" },
} as const;

/** Directories with mapped weights, of all models of this process that are known to this thread. */
const mapped = new Set<string>();

/** Installs the handler; where the system forbids it, a file cut short ends the process without a message. */
export function explainBusErrors(paths: readonly string[]): void {
  const known = mapped.size;
  for (const path of paths) mapped.add(path.slice(0, Math.max(0, path.lastIndexOf("/"))) || "/");
  if (mapped.size === known) return;
  const clear = Deno.stderr.isTerminal() ? "\r\u001b[2K" : "";
  const line =
    `error: a mapped weight file was cut short, or its disk failed (SIGBUS), in ${[...mapped].join(" or ")}; ` +
    "--weights=read computes from a copy in memory";
  const code = handler(new TextEncoder().encode(`${clear}${printableLine(line)}\n`));
  const libc = Deno.dlopen("libc.so.6", LIBC);
  try {
    const { mmap, mprotect, sigaction } = libc.symbols, bytes = BigInt(code.length);
    const page = mmap(null, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0n);
    // MAP_FAILED is -1.
    if (page === null || Deno.UnsafePointer.value(page) >= 2n ** 63n) return;
    new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(page, code.length)).set(code);
    if (mprotect(page, bytes, PROT_READ_EXEC) !== 0) return;
    const action = new Uint8Array(SIGACTION_BYTES);
    new DataView(action.buffer).setBigUint64(0, BigInt(Deno.UnsafePointer.value(page)), true);
    sigaction(SIGBUS, action, null);
  } finally {
    libc.close();
  }
}

/** write(2, text, length); exit_group(1) in machine code of x86-64, followed by the text. */
function handler(text: Uint8Array): Uint8Array<ArrayBuffer> {
  const word = (value: number) => [...new Uint8Array(Uint32Array.of(value).buffer)];
  const CODE_BYTES = 36;
  const code = [
    ...[0xbf, ...word(2)], // mov edi, 2
    ...[0x48, 0x8d, 0x35, ...word(CODE_BYTES - 12)], // lea rsi, [rip + distance from here to the text]
    ...[0xba, ...word(text.length)], // mov edx, length
    ...[0xb8, ...word(1)], // mov eax, write
    ...[0x0f, 0x05], // syscall
    ...[0xbf, ...word(1)], // mov edi, 1
    ...[0xb8, ...word(231)], // mov eax, exit_group
    ...[0x0f, 0x05], // syscall
  ];
  return Uint8Array.from([...code, ...text]);
}
