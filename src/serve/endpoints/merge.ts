/** Several streams as one. */

/**
 * Values of all streams as they come, each with the source that it is of. What one stream throws is thrown once the
 * values that came before are taken; the other streams are left to whoever ends their sources.
 */
export async function* merge<S, T>(
  sources: readonly S[],
  open: (source: S) => AsyncIterable<T>,
): AsyncGenerator<readonly [S, T], void, void> {
  const ready: (readonly [S, T])[] = [];
  let running = sources.length, failure: { readonly thrown: unknown } | null = null, left = false;
  let wake: () => void = () => {};
  const pump = async (source: S) => {
    try {
      for await (const value of open(source)) {
        if (left) return;
        ready.push([source, value]);
        wake();
      }
    } catch (thrown) {
      failure ??= { thrown };
    }
    running--;
    wake();
  };
  for (const source of sources) void pump(source);
  try {
    while (true) {
      const next = ready.shift();
      if (next !== undefined) yield next;
      else if (failure !== null) throw (failure as { readonly thrown: unknown }).thrown;
      else if (running === 0) return;
      else await new Promise<void>((resolve) => wake = resolve);
    }
  } finally {
    left = true;
  }
}
