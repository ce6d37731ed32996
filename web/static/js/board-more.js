// Long columns: the next page comes when its link is about to be seen. Where nobody scrolled, and cards only left the column, it
// comes a little later, each browser in its own time: else all that show the board would ask for it in the same moment. And what
// has grown long in a board that stays open is let go again far below what is seen.
import { cardOf, columns, filterQuery, fragment, get, inHand, refreshed } from "./board-parts.js";
import { everySecond } from "./time.js";

const AHEAD = 500; // px below what is seen
const PATIENCE_MS = 2500;
const LONG = 36; // cards of a column, of which the last ones are let go
const KEPT = 24;
const waiting = new Set();
const later = new Map(); // link -> timer

async function load(item) {
  const list = item.parentElement;
  forget(item);
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
      first ??= row;
    }
  }
  if (next) item.replaceWith(next); else item.remove();
  if (focused) (first?.querySelector(".card-title") || next?.querySelector("a"))?.focus();
  watch();
  refreshed(list);
}

let scrolling = 0;

function wait(item) {
  if (scrolling) load(item);
  else if (!later.has(item)) later.set(item, setTimeout(load, Math.random() * PATIENCE_MS, item));
}

function forget(item) {
  clearTimeout(later.get(item));
  later.delete(item);
}

const inView = new IntersectionObserver((links) => {
  for (const { isIntersecting, target } of links) if (isIntersecting) load(target);
});
const near = new IntersectionObserver((links) => {
  for (const { isIntersecting, target } of links) if (isIntersecting) wait(target); else forget(target);
}, { rootMargin: `${AHEAD}px 0px`, scrollMargin: `${AHEAD}px 0px` });

document.addEventListener("scroll", () => {
  clearTimeout(scrolling);
  scrolling = setTimeout(() => { scrolling = 0; }, 1000);
  for (const item of later.keys()) load(item);
}, { capture: true, passive: true });

function watch() {
  for (const observer of [inView, near]) {
    observer.disconnect();
    for (const item of columns().querySelectorAll(".more")) observer.observe(item);
  }
  for (const item of later.keys()) if (!item.isConnected) forget(item);
}

function trim(list) {
  const cards = [...list.querySelectorAll(":scope > .card")];
  if (cards.length <= LONG || waiting.has(list)) return;
  const far = innerHeight + 2 * AHEAD;
  const near = cards.findLastIndex((card) => inHand(card) || card.classList.contains("picked") || card.getBoundingClientRect().top < far);
  const last = cards[Math.max(near, KEPT - 1)];
  if (!last.nextElementSibling?.matches(".card")) return;
  const { column } = list.closest("[data-column]").dataset;
  const more = list.querySelector(":scope > .more") || document.getElementById("more").content.firstElementChild.cloneNode(true);
  more.firstElementChild.id = `more-${column}`;
  more.dataset.more = `${last.dataset.order}:${last.dataset.key}`; // a place, as the server writes it
  more.firstElementChild.href = `/?${filterQuery({ column, after: more.dataset.more })}`;
  while (last.nextElementSibling) last.nextElementSibling.remove();
  list.append(more);
  watch();
}
everySecond(() => { for (const list of columns().querySelectorAll(".cards")) trim(list); });

document.addEventListener("click", (event) => {
  const item = event.target.closest?.(".more");
  if (!item || event.button || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  load(item);
});
document.addEventListener("board:replaced", watch);
watch();
