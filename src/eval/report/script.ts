/**
 * What a page does when it is read in a browser: a click on a head sorts its table, and samples are searched and
 * filtered. It is text, as it runs in the reader's browser and not in ours; a test runs it on a page.
 */

/** The script; it may use `document` and nothing else. */
export const SCRIPT: string = `
"use strict";
(() => {
  const UNITS = { kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };
  // Less than 0.001 comes before 0.001.
  const BEYOND = { "<": 1 - 1e-9, ">": 1 + 1e-9 };
  const value = (row, column) => {
    const text = row.children[column].textContent.trim();
    const found = /^([<>]?)([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)(?: ([kMGT]B)\\b)?/.exec(text);
    return found ? Number(found[2]) * (BEYOND[found[1]] || 1) * (UNITS[found[3]] || 1) : text;
  };
  const order = (x, y) => {
    if (typeof x === "number" && typeof y === "number") return x - y;
    if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
    return x < y ? -1 : x > y ? 1 : 0;
  };
  for (const table of document.querySelectorAll("table.sort")) {
    const body = table.querySelector("tbody"), heads = [...table.querySelectorAll("thead th")];
    heads.forEach((head, column) => {
      const sort = () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        const rows = [...body.children].sort((x, y) => order(value(x, column), value(y, column)));
        for (const row of down ? rows.reverse() : rows) body.appendChild(row);
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
      };
      head.setAttribute("tabindex", "0");
      head.addEventListener("click", sort);
      head.addEventListener("keydown", (event) => {
        if (event.key === "Enter") sort();
      });
    });
  }
  for (const controls of document.querySelectorAll(".controls")) {
    const samples = [...controls.parentElement.querySelectorAll(".sample")];
    const search = controls.querySelector("input"), selects = [...controls.querySelectorAll("select")];
    const filter = () => {
      const words = search.value.toLowerCase();
      let shown = 0;
      for (const sample of samples) {
        const fits = selects.every((select) =>
          !select.value || sample.getAttribute("data-" + select.getAttribute("data-filter")) === select.value
        );
        sample.hidden = !(fits && sample.textContent.toLowerCase().includes(words));
        if (!sample.hidden) shown++;
      }
      controls.querySelector("span").textContent = shown + " of " + samples.length;
    };
    for (const control of [search, ...selects]) control.addEventListener("input", filter);
    controls.hidden = false;
    filter();
  }
})();
`;
