/** The model that answers: loaded under one setting at a time, with the conversation in its cache. */
import { refuseChanged } from "../../checkpoint/identity.ts";
import { generate, type GenerateOptions } from "../../session/generate.ts";
import type { Room } from "../../session/open.ts";
import type { Session } from "../../session/session.ts";
import type { PlannedSetting } from "../../session/setting.ts";
import { Interrupt, INTERRUPTED } from "../interrupt.ts";
import { ProgressBar } from "../progress.ts";
import type { Reply } from "../reply.ts";
import { loadSetting } from "../settings.ts";
import type { Turn } from "./conversation.ts";

/** How an answer came about. */
export interface Answer {
  readonly finish: Turn["finish_reason"];
  /** Tokens of the prompt, and how many of them were in the cache already. */
  readonly promptTokens: number;
  readonly kept: number;
  readonly generatedTokens: number;
  /** From the start to the first token, and from then to the end. */
  readonly prefillMilliseconds: number;
  readonly decodeMilliseconds: number;
}

/** What to answer, and how. */
export interface Question extends Pick<GenerateOptions, "picker" | "stopIds" | "maxTokens"> {
  readonly ids: Int32Array;
  readonly reply: Reply;
}

/** Thrown out of the computation of a prompt. */
const STOPPED: unique symbol = Symbol("stopped");

/** A loaded model. */
export class ChatModel {
  private constructor(public setting: PlannedSetting, public room: Room, public session: Session) {}

  /** Loads a setting, with a progress bar where that takes long. */
  static async load(setting: PlannedSetting, room: Room): Promise<ChatModel> {
    return new ChatModel(setting, room, await loadSetting(setting, room));
  }

  /**
   * Loads another setting, or with other room, in place of what is loaded, since there may not be memory for both.
   * What cannot be loaded leaves the model as it was.
   *
   * @throws {InputError} when a weight file changed since it was checked.
   * @throws {FailureError} when memory, workers or a device cannot be had.
   */
  async reload(setting: PlannedSetting, room: Room): Promise<void> {
    await this.session.close();
    try {
      this.session = await loadSetting(setting, room);
    } catch (thrown) {
      this.session = await loadSetting(this.setting, this.room);
      throw thrown;
    }
    this.setting = setting;
    this.room = room;
  }

  /**
   * Answers, up to the end of the answer or to Ctrl-C. Of the prompt, only what the cache does not have is computed.
   *
   * @throws {InputError} where a logit is NaN or infinite, or the checkpoint changed.
   */
  async answer({ ids, reply, ...options }: Question): Promise<Answer> {
    using interrupt = new Interrupt();
    using bar = new ProgressBar("prompt");
    const { session } = this, started = performance.now(), kept = session.rewind(0, ids);
    const onPrefill = (done: number, total: number) => {
      if (interrupt.heard) throw STOPPED;
      bar.update(done, total);
    };
    const tokens = generate({ ...options, session, slot: 0, prompt: ids.subarray(kept), onPrefill });
    let prefilled = started, generatedTokens = 0, finish: Answer["finish"] | null = null;
    while (finish === null) {
      const pending = tokens.next(), next = await interrupt.race(pending);
      if (generatedTokens === 0) {
        prefilled = performance.now();
        bar[Symbol.dispose]();
      }
      if (next === INTERRUPTED) {
        finish = "interrupted";
        // The cache is in use until then.
        await pending.catch((thrown) => {
          if (thrown !== STOPPED) throw thrown;
        });
        await tokens.return(undefined as never);
      } else if (next.done) finish = next.value.reason;
      else {
        generatedTokens++;
        await reply.push(next.value);
        if (!reply.stopped) continue;
        finish = "stop";
        await tokens.return(undefined as never);
      }
    }
    await reply.finish();
    refuseChanged(this.setting.checkpoint.identity);
    const decodeMilliseconds = performance.now() - prefilled;
    return {
      ...{ finish, promptTokens: ids.length, kept, generatedTokens },
      ...{ prefillMilliseconds: prefilled - started, decodeMilliseconds },
    };
  }

  /** Positions of the conversation that are in the cache. */
  get used(): number {
    return this.session.length(0);
  }

  close(): Promise<void> {
    return this.session.close();
  }
}
