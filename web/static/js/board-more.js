// Long columns: the next page comes when its link is about to be seen.
import { cardOf, columns, filterQuery, fragment, get, refreshed } from "./board-parts.js";

const AHEAD = "600px 0px";
const waiting = new Set();

async function load(item) {
  const list = item.parentElement;
  if (!list || waiting.has(list)) return;
  waiting.add(list);
  const { column } = list.closest("[data-column]").dataset;
  const query = filterQuery({ part: "columns", column, after: item.dataset.more });
  const focused = item.contains(document.activeElement);
  try {
    const answer = await get(`/?${query}`);
    // The board may have been fetched anew meanwhile, or its filter changed.
    if (answer.ok && item.isConnected && query === filterQuery({ part: "columns", column, after: item.dataset.more })) {
      append(list, item, fragment(answer.text).querySelectorAll(".cards > li"), focused);
    }
  } finally {
    waiting.delete(list);
  }
}

function append(list, item, rows, focused) {
  let first = null;
  let next = null;
  for (const row of rows) {
    if (row.matches(".more")) next = row;
    else if (!cardOf(row.dataset.key)) {
      list.insertBefore(row, item);
      htmx.process(row);
      first ??= row;
    }
  }
  if (next) item.replaceWith(next); else item.remove();
  if (focused) (first?.querySelector(".card-title") || next?.querySelector("a"))?.focus();
  watch();
  refreshed(list);
}

const observer = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) if (isIntersecting) load(target);
}, { rootMargin: AHEAD, scrollMargin: AHEAD });

function watch() {
  observer.disconnect();
  for (const item of columns().querySelectorAll(".more")) observer.observe(item);
}

document.addEventListener("click", (event) => {
  const item = event.target.closest?.(".more");
  if (!item || event.button || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  load(item);
});
document.addEventListener("board:replaced", watch);
watch();
