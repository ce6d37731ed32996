// What every page needs. Pages work without it.
import "./requests.js";
import "./finding.js";
import "./frame.js";
import "./notify.js";
import "./refresh.js";
import "./say.js";
import "./time.js";
import { toast } from "./toasts.js";
import "./unsent.js";
import { renewed, within } from "./within.js";

// A part's own script comes with the part: <section data-module="review"> loads review.js, also when it is swapped in later.
function load(root) {
  for (const part of within(root, "[data-module]:not([data-loaded])")) {
    part.dataset.loaded = "";
    import(`./${part.dataset.module}.js`).then(() => { part.dataset.loaded = "yes"; document.dispatchEvent(new Event("part:loaded")); });
  }
}
load(document);
document.addEventListener("htmx:after:swap", () => load(document));
document.addEventListener("refreshed", ({ detail }) => load(renewed(detail)));

// The old way, which browsers allow over plain HTTP too, as from another machine of the house.
function copied(text) {
  const area = document.createElement("textarea");
  const before = document.activeElement;
  Object.assign(area, { value: text, className: "hidden", readOnly: true });
  (before?.closest("dialog") || document.body).append(area);
  area.select();
  try { return document.execCommand("copy"); } finally { area.remove(); before?.focus({ preventScroll: true }); }
}

// <button data-copy="text">: copied as browsers let a page do over TLS or on this machine, else in the old way.
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-copy]");
  if (!button) return;
  const failed = () => {
    if (copied(button.dataset.copy)) toast("Copied");
    else toast("This browser lets no page copy here", { error: true, hint: "Copy it from here:", words: button.dataset.copy });
  };
  if (!navigator.clipboard) failed();
  else navigator.clipboard.writeText(button.dataset.copy).then(() => toast("Copied"), failed);
});
