/** What the page does first: its tabs, and the models that the server has. It runs in the reader's browser. */

/** The script; see `common_script.ts` for what it builds on. */
export const START: string = String.raw`
const tabs = [...document.querySelectorAll("[role=tab]")];
const open = (tab) => {
  for (const one of tabs) {
    const chosen = one === tab;
    one.setAttribute("aria-selected", String(chosen));
    one.tabIndex = chosen ? 0 : -1;
    byId(one.getAttribute("aria-controls")).hidden = !chosen;
  }
  location.hash = tab.getAttribute("aria-controls");
};
for (const tab of tabs) {
  tab.addEventListener("click", () => open(tab));
  tab.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = tabs[(tabs.indexOf(tab) + 1) % tabs.length];
    open(other);
    other.focus();
  });
}
open(tabs.find((tab) => "#" + tab.getAttribute("aria-controls") === location.hash) ?? tabs[0]);

/** Lists the models; with an API key once it is there. */
const load = async () => {
  try {
    const { data } = await (await ask("/v1/models")).json(), names = data.map(({ id }) => id);
    byId("page-error").textContent = "";
    byId("model").replaceChildren(...names.map(option));
    byId("first").replaceChildren(...names.map(option));
    const boxes = names.map((value, i) => {
      const box = make("input", { type: "checkbox", value, checked: i === 1, disabled: i === 0 });
      return make("label", {}, box, " " + value);
    });
    byId("others").replaceChildren(byId("others").firstElementChild, ...boxes);
    byId("alone").hidden = names.length > 1;
    byId("compare").disabled = names.length < 2;
  } catch (thrown) {
    complain(byId("page-error"), thrown);
  }
};
byId("key").addEventListener("change", load);
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  load();
});
load();
`;
