/** What evaluations do with settings: answers are kept only while the weights are those of the protocol. */
import { refuseChanged } from "../../checkpoint/identity.ts";
import type { Setting } from "../../session/setting.ts";

/**
 * A store that keeps nothing that was computed with other weights than the protocol names.
 *
 * @throws {InputError} from `append`, if a file of the setting's checkpoint is no longer as it was opened.
 */
export function guarded<T>(
  { checkpoint }: Setting,
  store: { readonly entries: ReadonlyMap<number, T>; append(entry: T): void },
): { readonly entries: ReadonlyMap<number, T>; append(entry: T): void } {
  return {
    get entries() {
      return store.entries;
    },
    append: (entry) => {
      refuseChanged(checkpoint.identity);
      store.append(entry);
    },
  };
}
