/** From an opened setting to a side of a comparison. */
import type { Session } from "../session/session.ts";
import type { PlannedSetting } from "../session/setting.ts";
import type { Side } from "./comparison.ts";

/** One of the two settings that are compared, opened. */
export function sideOf({ checkpoint, planned, ...setting }: PlannedSetting, session: Session): Side {
  return {
    session,
    config: checkpoint.config,
    source: planned.source,
    dtype: setting.dtype,
    kvFormat: planned.plan.kvFormat,
    engine: `${setting.backend}, tp ${setting.tp}, ep ${setting.ep}`,
  };
}
