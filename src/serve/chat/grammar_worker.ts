/** The thread of {@linkcode Preparation}. */
import { InputError, reason } from "../../errors.ts";
import { tableOf } from "../../grammar/table.ts";
import { grammarOfSource } from "./grammar_source.ts";
import type { GrammarReply, GrammarRequest } from "./preparation.ts";

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<GrammarRequest>) => void) | null;
  postMessage(reply: GrammarReply): void;
};

scope.onmessage = ({ data: { number, source, where } }) => {
  try {
    scope.postMessage({ number, table: tableOf(grammarOfSource(source, where)) });
  } catch (thrown) {
    const mistake = thrown instanceof InputError ? thrown.mistake : null;
    scope.postMessage({ number, mistake, message: reason(thrown) });
  }
};
