/**
 * Pictures of a report's first screen as a browser shows it: light, dark, and on a phone of 390 pixels.
 *
 *     deno run -A tools/page_pictures.ts DIR docs/pictures
 *     optipng -o4 docs/pictures/report-*.png      # the same pixels in fewer bytes: by a quarter
 *
 * DIR is what `--out` has named. Needs Chromium on the PATH, as Debian's package `chromium` has it, or its path in
 * `CHROMIUM`.
 */

/** A picture of a page. */
interface Picture {
  readonly name: string;
  /** Of the window, in pixels. */
  readonly width: number;
  readonly height: number;
  readonly dark: boolean;
  /** Width of a frame that holds the page, in pixels: headless windows are not as narrow as phones. */
  readonly frame?: number;
}

/** What is drawn. */
export const PICTURES: readonly Picture[] = [
  { name: "report-light.png", width: 1240, height: 1386, dark: false },
  { name: "report-dark.png", width: 1240, height: 1386, dark: true },
  { name: "report-phone.png", width: 500, height: 1400, dark: false, frame: 390 },
];

/** Draws a page. */
export async function draw(page: string, out: string, { width, height, dark, frame }: Picture): Promise<void> {
  const work = await Deno.makeTempDir();
  try {
    let url = `file://${await Deno.realPath(page)}`;
    if (frame !== undefined) {
      const size = `width:${frame}px;height:${height}px`;
      const wrapper =
        `<body style="margin:0;background:#888"><iframe src="${url}" style="display:block;margin:0 auto;` +
        `border:0;${size}"></iframe>`;
      await Deno.writeTextFile(`${work}/frame.html`, wrapper);
      url = `file://${work}/frame.html`;
    }
    const { success, stderr } = await new Deno.Command(Deno.env.get("CHROMIUM") ?? "chromium", {
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        `--blink-settings=preferredColorScheme=${dark ? 0 : 1}`,
        `--user-data-dir=${work}`,
        `--window-size=${width},${height}`,
        `--screenshot=${out}`,
        url,
      ],
      stdout: "null",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(`${page}: no picture: ${new TextDecoder().decode(stderr)}`);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

if (import.meta.main) {
  const [dir, out] = Deno.args;
  if (dir === undefined || out === undefined) {
    console.error("usage: deno run -A tools/page_pictures.ts DIR OUT");
    Deno.exit(2);
  }
  await Deno.mkdir(out, { recursive: true });
  for (const picture of PICTURES) await draw(`${dir}/report.html`, `${out}/${picture.name}`, picture);
}
