/**
 * Files in which Linux says what the machine is and does. Deno opens those of /proc to nobody with fewer than all
 * permissions, so they are read through libc, where calling it is permitted.
 */

/** Text of a file of the system, of which the first 16 KiB are enough; or null. */
export type ReadSystemFile = (path: string) => string | null;

/** Linux value of the C constants. */
const O_RDONLY_CLOEXEC = 0o2000000;

/** Bytes that a read asks for. */
const READ_BYTES = 1 << 14;

const LIBC = {
  // int open(const char *path, int flags)
  open: { parameters: ["buffer", "i32"], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t count)
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
} as const;

/**
 * Lets `use` read files of the system, where that is possible.
 *
 * @returns Whether it was.
 */
export function withSystemFiles(use: (read: ReadSystemFile) => void): boolean {
  return withLibc((libc) =>
    use((path) => {
      const bytes = bytesOf(libc, path, READ_BYTES);
      return bytes === null ? null : new TextDecoder().decode(bytes);
    })
  );
}

/** All bytes of a file of the system; null where it cannot be read. */
export function systemFileBytes(path: string): Uint8Array<ArrayBuffer> | null {
  let bytes: Uint8Array<ArrayBuffer> | null = null;
  withLibc((libc) => bytes = bytesOf(libc, path, Infinity));
  return bytes;
}

type Libc = Deno.DynamicLibrary<typeof LIBC>["symbols"];

function withLibc(use: (libc: Libc) => void): boolean {
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return false;
  try {
    const libc = Deno.dlopen("libc.so.6", LIBC);
    try {
      use(libc.symbols);
      return true;
    } finally {
      libc.close();
    }
  } catch {
    // Another libc: these files stay unread.
    return false;
  }
}

/** The first bytes of a file: at least `most`, where it has as many. */
function bytesOf(libc: Libc, path: string, most: number): Uint8Array<ArrayBuffer> | null {
  const descriptor = libc.open(new TextEncoder().encode(`${path}\0`), O_RDONLY_CLOEXEC);
  if (descriptor < 0) return null;
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let total = 0;
  try {
    while (total < most) {
      const part = new Uint8Array(READ_BYTES), got = Number(libc.read(descriptor, part, BigInt(READ_BYTES)));
      if (got < 0) return null;
      if (got === 0) break;
      parts.push(part.subarray(0, got));
      total += got;
    }
  } finally {
    libc.close(descriptor);
  }
  const all = new Uint8Array(total);
  for (let i = 0, at = 0; i < parts.length; at += parts[i++]!.length) all.set(parts[i]!, at);
  return all;
}
