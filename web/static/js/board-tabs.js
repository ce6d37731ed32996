// On a phone one column is seen at a time: its tab is marked, and a tab brings its column.
import { columns } from "./board-parts.js";

const narrow = matchMedia("(max-width: 48rem)");
let frame = 0;

function mark() {
  frame = 0;
  const lanes = document.getElementById("lanes");
  if (!narrow.matches || !lanes) return;
  const all = [...lanes.querySelectorAll(":scope > .column:not(.shelf)")];
  const { left } = lanes.getBoundingClientRect();
  const gap = (one) => Math.abs(one.getBoundingClientRect().left - left);
  const shown = all.length ? all.reduce((best, one) => (gap(one) < gap(best) ? one : best)).dataset.column : "";
  for (const tab of columns().querySelectorAll("[data-tab]")) {
    if (tab.dataset.tab !== shown) tab.removeAttribute("aria-current");
    else if (!tab.hasAttribute("aria-current")) {
      tab.setAttribute("aria-current", "true");
      tab.parentElement.scrollTo({ left: tab.offsetLeft - 24 });
    }
  }
}

const later = () => { frame ||= requestAnimationFrame(mark); };
document.addEventListener("scroll", later, { capture: true, passive: true });
document.addEventListener("click", (event) => {
  const tab = event.target.closest?.("[data-tab]");
  if (!tab || !columns().contains(tab)) return; // a ticket beside the board has tabs too
  event.preventDefault();
  document.getElementById(`part-${tab.dataset.tab}`).scrollIntoView({ block: "nearest", inline: "start" });
});
document.addEventListener("board:replaced", later);
narrow.addEventListener("change", later);
later();
