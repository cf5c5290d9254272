/** Addresses of hosts by name, as the system knows them: Deno's own look-up asks name servers only. */

const LIBC = {
  // int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
  getaddrinfo: { parameters: ["buffer", "pointer", "buffer", "buffer"], result: "i32" },
  // void freeaddrinfo(struct addrinfo *res)
  freeaddrinfo: { parameters: ["pointer"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** `struct addrinfo` of 64-bit Linux: flags, family, type, protocol, length, then pointers from byte 24 on. */
const ADDRINFO_BYTES = 48, FAMILY_AT = 4, TYPE_AT = 8, ADDRESS_AT = 24, NEXT_AT = 40;
const SOCK_STREAM = 1;

/** A kind of address: its number, and where it lies in `struct sockaddr_in` or `struct sockaddr_in6`. */
interface AddressFamily {
  readonly number: number;
  readonly at: number;
  readonly bytes: number;
  text(bytes: Uint8Array): string;
}

const IPV4: AddressFamily = { number: 2, at: 4, bytes: 4, text: (bytes) => bytes.join(".") };
const IPV6: AddressFamily = {
  ...{ number: 10, at: 8, bytes: 16 },
  text: (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset), groups = Array.from({ length: 8 }, (_, i) => 2 * i);
    return ipv6Of(groups.map((at) => view.getUint16(at).toString(16)).join(":"))!;
  },
};

/** An IPv6 address as everybody writes it, from one with or without brackets; null for anything else. */
export function ipv6Of(text: string): string | null {
  const [, bare] = /^\[?([0-9a-f:.]*:[0-9a-f:.]*)\]?$/i.exec(text) ?? [];
  const url = bare === undefined ? null : URL.parse(`http://[${bare}]/`);
  return url === null ? null : url.hostname.slice(1, -1);
}

/** A host as it stands before a port: an IPv6 address in brackets. */
export function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/**
 * Addresses of a host, those first that the system would try first: IPv4, or of a host without such a one IPv6, but not
 * those that mean a host on one cable only. None where it has none, or the system cannot be asked.
 */
export function addressesOf(name: string): string[] {
  const found = familyAddresses(name, IPV4);
  return found.length > 0 ? found : familyAddresses(name, IPV6).filter((address) => !/^fe[89ab]/.test(address));
}

function familyAddresses(name: string, family: AddressFamily): string[] {
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return [];
  try {
    const libc = Deno.dlopen("libc.so.6", LIBC);
    try {
      const hints = new DataView(new ArrayBuffer(ADDRINFO_BYTES)), found = new BigUint64Array(1);
      hints.setInt32(FAMILY_AT, family.number, true);
      hints.setInt32(TYPE_AT, SOCK_STREAM, true);
      const node = new TextEncoder().encode(`${name}\0`), given = new Uint8Array(hints.buffer);
      if (libc.symbols.getaddrinfo(node, null, given, found) !== 0) return [];
      const list = Deno.UnsafePointer.create(found[0]!), addresses = new Set<string>();
      for (let at = list; at !== null; at = new Deno.UnsafePointerView(at).getPointer(NEXT_AT)) {
        const address = new Deno.UnsafePointerView(at).getPointer(ADDRESS_AT)!, bytes = new Uint8Array(family.bytes);
        new Deno.UnsafePointerView(address).copyInto(bytes, family.at);
        addresses.add(family.text(bytes));
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
