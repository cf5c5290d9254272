/** The body of a request, as it arrives. */
import { show } from "../../describe.ts";
import { reason } from "../../errors.ts";
import { ApiError } from "../api_error.ts";

/** What a body may take. */
export interface BodyLimits {
  readonly bytes: number;
  /** Milliseconds until all of it is there. */
  readonly milliseconds: number;
}

/**
 * Reads a body of UTF-8; another byte would become another prompt than was sent.
 *
 * @throws {ApiError} 413, where its length was said before any of it is read; 408, 415, or 400 where it ends early or
 * is no text.
 */
export async function readBody(request: Request, limits: BodyLimits): Promise<string> {
  const { headers, body } = request, encoding = headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    throw new ApiError(415, `content-encoding: expected none, got ${show(encoding)}`, { code: "unsupported_encoding" });
  }
  if (Number(headers.get("content-length") ?? 0) > limits.bytes) throw tooLarge(limits);
  return body === null ? "" : await textOf(body.getReader(), limits);
}

async function textOf(reader: ReadableStreamDefaultReader<Uint8Array>, limits: BodyLimits): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(tooLate(limits)), limits.milliseconds);
  let text = "", bytes = 0;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read().catch(endedEarly), late.promise]);
      if (done) return text + decode(decoder);
      bytes += value.length;
      if (bytes > limits.bytes) throw tooLarge(limits);
      text += decode(decoder, value);
    }
  } catch (thrown) {
    // Nobody waits for what is still to come, nor hears how that ends.
    reader.cancel().catch(() => {});
    throw thrown;
  } finally {
    clearTimeout(timer);
  }
}

/** The text of these bytes and of those that were left of a character before; of none: the end. */
function decode(decoder: TextDecoder, bytes?: Uint8Array): string {
  try {
    return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
  } catch {
    throw new ApiError(400, "the body is not UTF-8", { code: "malformed" });
  }
}

function tooLarge({ bytes }: BodyLimits): ApiError {
  return new ApiError(413, `expected a body of at most ${bytes} bytes`, { code: "too_large" });
}

function tooLate({ milliseconds }: BodyLimits): ApiError {
  return new ApiError(408, `the body did not arrive within ${milliseconds / 1000} s`, { code: "timeout" });
}

function endedEarly(thrown: unknown): never {
  throw new ApiError(400, `the body ended early: ${reason(thrown)}`, { code: "malformed" });
}
