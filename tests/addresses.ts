/** Which addresses a machine has: a container may be without IPv6. */

/** Whether something can listen at an address of this machine. */
export function canListen(hostname: string): boolean {
  try {
    Deno.listen({ hostname, port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}
