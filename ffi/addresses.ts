/** Addresses of hosts by name, as the system knows them: Deno's own look-up asks name servers only. */

const LIBC = {
  // int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
  getaddrinfo: { parameters: ["buffer", "pointer", "buffer", "buffer"], result: "i32" },
  // void freeaddrinfo(struct addrinfo *res)
  freeaddrinfo: { parameters: ["pointer"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** `struct addrinfo` of 64-bit Linux: flags, family, type, protocol, length, then pointers from byte 24 on. */
const ADDRINFO_BYTES = 48, FAMILY_AT = 4, TYPE_AT = 8, ADDRESS_AT = 24;
const AF_INET = 2, SOCK_STREAM = 1;
/** The IPv4 address in `struct sockaddr_in`. */
const IPV4_AT = 4, IPV4_BYTES = 4;

/** IPv4 address of a host; null where it has none, or the system cannot be asked. */
export function ipv4AddressOf(name: string): string | null {
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return null;
  try {
    const libc = Deno.dlopen("libc.so.6", LIBC);
    try {
      const hints = new DataView(new ArrayBuffer(ADDRINFO_BYTES)), found = new BigUint64Array(1);
      hints.setInt32(FAMILY_AT, AF_INET, true);
      hints.setInt32(TYPE_AT, SOCK_STREAM, true);
      const node = new TextEncoder().encode(`${name}\0`), given = new Uint8Array(hints.buffer);
      if (libc.symbols.getaddrinfo(node, null, given, found) !== 0) return null;
      const list = Deno.UnsafePointer.create(found[0]!)!;
      const address = new Deno.UnsafePointerView(list).getPointer(ADDRESS_AT)!, bytes = new Uint8Array(IPV4_BYTES);
      new Deno.UnsafePointerView(address).copyInto(bytes, IPV4_AT);
      libc.symbols.freeaddrinfo(list);
      return bytes.join(".");
    } finally {
      libc.close();
    }
  } catch {
    return null;
  }
}
