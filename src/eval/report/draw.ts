/** Observable Plot without a browser: a plot becomes SVG text. */
import type { PlotOptions } from "@observablehq/plot";
import { printable } from "../../printable.ts";

/** The library, loaded when a report is made and not before. */
export type PlotLibrary = typeof import("@observablehq/plot");

/** Draws plots. */
export interface Artist {
  readonly Plot: PlotLibrary;
  /** The plot as HTML: an SVG, inside a figure where it has a legend. Colours may be CSS variables of the page. */
  draw(options: PlotOptions): string;
}

/**
 * Width below which a plot is not shrunk, in pixels: its letters would be too small. A narrow window scrolls it
 * instead.
 */
const LEAST_WIDTH = 800;
/** Width of a plot that does not say its own. */
const WIDTH = 640;

/** Loads the plotting library and a document for it to draw in. */
export async function openArtist(): Promise<Artist> {
  const [Plot, { parseHTML }] = await Promise.all([import("@observablehq/plot"), import("linkedom")]);
  const { document } = parseHTML("<!doctype html><html><body></body></html>") as unknown as {
    readonly document: NonNullable<PlotOptions["document"]>;
  };
  return {
    Plot,
    draw: (options) => {
      const plot = Plot.plot({
        marginBottom: 42,
        ...options,
        x: { labelAnchor: "center", labelArrow: "none", ...options.x },
        document,
        style: {
          background: "none",
          color: "inherit",
          fontSize: "12px",
          overflow: "visible",
          minWidth: `${Math.min(LEAST_WIDTH, options.width ?? WIDTH)}px`,
        },
      });
      return printable((plot as unknown as { outerHTML: string }).outerHTML);
    },
  };
}
