/** The thread of {@linkcode Scorer}. */
import { logProbability } from "../session/likelihood.ts";
import type { ScoreReply, ScoreRequest, ScoreSetup } from "./scorer.ts";

const scope = self as unknown as {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(reply: ScoreReply): void;
};

scope.onmessage = ({ data: { rows, vocab } }: MessageEvent<ScoreSetup>) => {
  const logits = new Float32Array(rows);
  scope.onmessage = ({ data: { row, token } }: MessageEvent<ScoreRequest>) => {
    scope.postMessage({ row, value: logProbability(logits.subarray(row * vocab, (row + 1) * vocab), token) });
  };
};
