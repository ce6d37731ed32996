// What every page needs. Pages work without it.
import "./requests.js";
import "./finding.js";
import "./frame.js";
import "./notify.js";
import "./refresh.js";
import "./say.js";
import "./time.js";
import { toast } from "./toasts.js";

// A part's own script comes with the part: <section data-module="review"> loads review.js, also when it is swapped in later.
function load() {
  for (const part of document.querySelectorAll("[data-module]:not([data-loaded])")) {
    part.dataset.loaded = "";
    import(`./${part.dataset.module}.js`).then(() => { part.dataset.loaded = "yes"; });
  }
}
load();
for (const event of ["htmx:after:swap", "refreshed"]) document.addEventListener(event, load);

// <button data-copy="text">: copied where the browser lets a page do so, which is over TLS or on this machine.
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-copy]");
  if (!button) return;
  const failed = () => toast("This browser lets no page copy here", { error: true, hint: button.dataset.copy });
  if (!navigator.clipboard) failed();
  else navigator.clipboard.writeText(button.dataset.copy).then(() => toast("Copied"), failed);
});
