/** What each kind of step takes on the device: recordings that hold only the steps of one kind, replayed many times. */
import type { MeasuringTools } from "./parts.ts";
import type { Batch } from "../../model/backend.ts";
import type { GpuEngine } from "./engine.ts";
import { labelOf } from "./operations.ts";

/** The whole batch, one kind of step, or one kernel of a kind of step. */
export interface StepTime {
  readonly label: string;
  /** Only steps add up to the whole: kernels are parts of them. */
  readonly of: "whole" | "step" | "kernel";
  /** All steps of the kind together. */
  readonly milliseconds: number;
  readonly launches: number;
}

/**
 * Measures a batch: the whole of it, each kernel and each kind of step, and the logits of as many rows as there is room
 * for. Results of the batch are garbage.
 *
 * @param repeats Replays of each recording.
 */
export function profileSteps(engine: GpuEngine, batch: Batch, repeats: number): StepTime[] {
  const rows = Int32Array.from({ length: Math.min(batch.ids.length, engine.backend.logitRows) }, (_, i) => i);
  return engine.backend.measure(batch, rows, (tools) => measureAll(tools, engine, batch, rows.length, repeats));
}

function measureAll(
  { device, stream, executor, launch }: MeasuringTools,
  { backend, model }: GpuEngine,
  batch: Batch,
  rows: number,
  repeats: number,
): StepTime[] {
  const { tensors: { normed }, weights: { head } } = backend;
  const logits = () => executor.logits(normed, head, rows);
  const layers = () => {
    model.forward(batch);
    launch(normed);
  };
  using start = device.createEvent();
  using end = device.createEvent();
  const measure = (of: StepTime["of"], label: string, enqueue: () => void): StepTime => {
    using graph = stream.capture(enqueue);
    stream.replay(graph);
    stream.record(start);
    for (let i = 0; i < repeats; i++) stream.replay(graph);
    stream.record(end);
    stream.synchronize();
    return { label, of, milliseconds: end.millisecondsSince(start) / repeats, launches: graph.nodes };
  };
  // Once as it is, so that all kernels are loaded and every buffer holds sane data.
  const labels = new Set<string>();
  executor.only = (step) => labels.add(labelOf(step)).size > 0;
  layers();
  logits();
  stream.synchronize();
  executor.only = null;
  const whole = measure("whole", "whole step", () => {
    layers();
    logits();
  });
  stream.record(start);
  for (let i = 0; i < repeats; i++) {
    layers();
    logits();
  }
  stream.record(end);
  stream.synchronize();
  const launchedSteps = {
    ...whole,
    label: "whole step, not recorded",
    milliseconds: end.millisecondsSince(start) / repeats,
  };
  // The choice of experts stays what it was in the last layer, and how their rows are sorted.
  const { calls } = executor, kernels = new Set<string>();
  let current = "";
  executor.only = (step) => (current = labelOf(step)).length > 0;
  const each = (entry: string) => `${current}: ${entry}`;
  calls.only = (entry) => kernels.add(each(entry)).size > 0;
  layers();
  stream.synchronize();
  const launched = [...kernels].map((kernel) => {
    calls.only = (entry) => each(entry) === kernel;
    return measure("kernel", kernel, layers);
  });
  calls.only = null;
  const parts = [...labels].map((label) => {
    executor.only = (step) => labelOf(step) === label;
    return measure("step", label, layers);
  });
  executor.only = null;
  return [whole, launchedSteps, ...launched, ...parts, measure("step", "logits", logits)];
}
