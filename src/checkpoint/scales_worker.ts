/** The thread of {@linkcode refuseNanScalesBeside}. */
import { InputError, reason } from "../errors.ts";
import { refuseNanScales, type ScalesReply, type ScaleTensor } from "./e8m0.ts";

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<readonly ScaleTensor[]>) => void) | null;
  postMessage(reply: ScalesReply): void;
};

scope.onmessage = ({ data: scales }) => {
  try {
    refuseNanScales(scales);
    scope.postMessage(null);
  } catch (thrown) {
    scope.postMessage({ mistake: thrown instanceof InputError ? thrown.mistake : null, message: reason(thrown) });
  }
};
