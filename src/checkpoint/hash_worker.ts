/** The thread of {@linkcode hashBeside}. */
import { InputError, reason } from "../errors.ts";
import type { SourceFile } from "./source.ts";
import { type HashReply, weightsSha256 } from "./weights_hash.ts";

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<readonly SourceFile[]>) => void) | null;
  postMessage(reply: HashReply): void;
};

/** Least time between two words about how far it is, in milliseconds. */
const SAY_MS = 50;

scope.onmessage = ({ data: files }) => {
  let said = performance.now();
  try {
    const hash = weightsSha256(files, (done, total) => {
      if (performance.now() - said < SAY_MS) return;
      said = performance.now();
      scope.postMessage({ done, total });
    });
    scope.postMessage({ hash });
  } catch (thrown) {
    scope.postMessage({ mistake: thrown instanceof InputError ? thrown.mistake : null, message: reason(thrown) });
  }
};
