/**
 * Files in which Linux says what the machine is and does. Deno opens those of /proc to nobody with fewer than all
 * permissions, so they are read through libc, where calling it is permitted.
 */

/** Text of a file of the system, of which the first 16 KiB are enough; or null. */
export type ReadSystemFile = (path: string) => string | null;

/** Linux value of the C constants. */
const O_RDONLY_CLOEXEC = 0o2000000;

/**
 * Lets `use` read files of the system, where that is possible.
 *
 * @returns Whether it was.
 */
export function withSystemFiles(use: (read: ReadSystemFile) => void): boolean {
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return false;
  try {
    const libc = Deno.dlopen("libc.so.6", {
      // int open(const char *path, int flags)
      open: { parameters: ["buffer", "i32"], result: "i32" },
      // ssize_t read(int fd, void *buf, size_t count)
      read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
      // int close(int fd)
      close: { parameters: ["i32"], result: "i32" },
    });
    const { open, read, close } = libc.symbols, buffer = new Uint8Array(1 << 14);
    try {
      use((path) => {
        const descriptor = open(new TextEncoder().encode(`${path}\0`), O_RDONLY_CLOEXEC);
        if (descriptor < 0) return null;
        const got = Number(read(descriptor, buffer, BigInt(buffer.length)));
        close(descriptor);
        return got < 0 ? null : new TextDecoder().decode(buffer.subarray(0, got));
      });
      return true;
    } finally {
      libc.close();
    }
  } catch {
    // Another libc: these files stay unread.
    return false;
  }
}
