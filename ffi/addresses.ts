/** Addresses of hosts by name, as the system knows them: Deno's own look-up asks name servers only. */

const LIBC = {
  // int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
  getaddrinfo: { parameters: ["buffer", "pointer", "buffer", "buffer"], result: "i32" },
  // void freeaddrinfo(struct addrinfo *res)
  freeaddrinfo: { parameters: ["pointer"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** `struct addrinfo` of 64-bit Linux: flags, family, type, protocol, length, then pointers from byte 24 on. */
const ADDRINFO_BYTES = 48, FAMILY_AT = 4, TYPE_AT = 8, ADDRESS_AT = 24, NEXT_AT = 40;
const AF_INET = 2, SOCK_STREAM = 1;
/** The IPv4 address in `struct sockaddr_in`. */
const IPV4_AT = 4, IPV4_BYTES = 4;

/**
 * IPv4 addresses of a host, those first that the system would try first; none where it has none, or the system cannot
 * be asked.
 */
export function ipv4AddressesOf(name: string): string[] {
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return [];
  try {
    const libc = Deno.dlopen("libc.so.6", LIBC);
    try {
      const hints = new DataView(new ArrayBuffer(ADDRINFO_BYTES)), found = new BigUint64Array(1);
      hints.setInt32(FAMILY_AT, AF_INET, true);
      hints.setInt32(TYPE_AT, SOCK_STREAM, true);
      const node = new TextEncoder().encode(`${name}\0`), given = new Uint8Array(hints.buffer);
      if (libc.symbols.getaddrinfo(node, null, given, found) !== 0) return [];
      const list = Deno.UnsafePointer.create(found[0]!), addresses = new Set<string>();
      for (let at = list; at !== null; at = new Deno.UnsafePointerView(at).getPointer(NEXT_AT)) {
        const address = new Deno.UnsafePointerView(at).getPointer(ADDRESS_AT)!, bytes = new Uint8Array(IPV4_BYTES);
        new Deno.UnsafePointerView(address).copyInto(bytes, IPV4_AT);
        addresses.add(bytes.join("."));
      }
      libc.symbols.freeaddrinfo(list);
      return [...addresses];
    } finally {
      libc.close();
    }
  } catch {
    return [];
  }
}
