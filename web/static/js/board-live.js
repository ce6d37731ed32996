// The board, kept as it is on the server: each entry of the feed brings its ticket's card and the counts. Where the filter wants
// more than a project, only the server knows what matches: then the columns are fetched again, once for what comes together.
import { cardOf, columnOf, columns, filterQuery, fragment, get, inHand, put, refreshed } from "./board-parts.js";
import { status } from "./live.js";
import { keeping } from "./refresh.js";
import { everySecond } from "./time.js";

const GATHER_MS = 120;
const FRESH_MS = 900;
const LONGEST_FRESH_MS = 5000;
const WHOLE = ["board.renumbered", "project.added", "project.removed", "project.edited"];
let held = null; // entries that wait for the end of a drag
let newest = 0; // of the entries that are shown
let timer = 0;
let fetching = null;
let again = false;

const focusedId = () => (columns().contains(document.activeElement) ? document.activeElement.id : "");

function refocus(id) {
  if (id && document.activeElement?.id !== id) document.getElementById(id)?.focus({ preventScroll: true });
}

const wanted = (entry) => !columns().dataset.project || columns().dataset.project === entry.project;

const set = (element, number = 0) => { if (element.textContent !== String(number)) element.textContent = number; };

function count(entry) {
  const counts = entry.counts[columns().dataset.project] || {};
  for (const column of document.getElementById("lanes").children) set(column.querySelector(".number"), counts[column.dataset.column]);
  for (const tab of document.getElementById("column-tabs")?.children || []) set(tab.firstElementChild, counts[tab.dataset.tab]);
  const found = Object.values(counts).reduce((sum, number) => sum + number, 0);
  if (columns().dataset.found === String(found)) return;
  columns().dataset.found = found;
  document.dispatchEvent(new CustomEvent("board:counted"));
}

// The place in a column: cards stand by their order; behind the last one that was sent there may be others.
function insert(list, card) {
  const order = Number(card.dataset.order);
  const next = [...list.children].find((one) => one !== card && one.matches(".card") && Number(one.dataset.order) > order);
  const more = list.lastElementChild?.matches(".more") ? list.lastElementChild : null;
  if (!next && more) return false;
  if (card.parentElement !== list || card.nextElementSibling !== (next || more)) list.insertBefore(card, next || more || null);
  return true;
}

// What has come to its column is marked for a moment, also while it is drawn anew. A mark is taken off with the next card that
// comes, so that it costs no drawing of its own; where none comes, after some seconds.
const fresh = new Map(); // key -> since when

function unmark(age) {
  for (const [key, since] of fresh) {
    if (Date.now() - since < age) continue;
    fresh.delete(key);
    cardOf(key)?.classList.remove("fresh");
  }
}
everySecond(() => unmark(LONGEST_FRESH_MS));

const made = (html) => fragment(html).querySelector(".card");

async function show(entry) {
  const old = cardOf(entry.ticket);
  const list = columnOf(entry.state)?.querySelector(".cards:not([hidden])");
  if (!list) { old?.remove(); return; }
  const focused = old?.contains(document.activeElement) ? document.activeElement.id || `open-${entry.ticket}` : "";
  const moved = !old || old.dataset.state !== entry.state;
  let card = old;
  if (old && !(moved && !inHand(old))) {
    await keeping(old, () => htmx.swap({ sourceElement: old, target: old, text: entry.card, swap: "outerMorph" }));
    card = cardOf(entry.ticket);
  } else {
    card = made(entry.card);
    old?.remove();
  }
  unmark(FRESH_MS);
  if (moved) fresh.set(entry.ticket, Date.now());
  card.classList.toggle("fresh", fresh.has(entry.ticket));
  if (!insert(list, card)) { card.remove(); return; }
  if (focused) refocus(document.getElementById(focused) ? focused : `open-${entry.ticket}`);
  refreshed(card);
}

async function take(entry) {
  if (held) { held.push(entry); return; }
  newest = Math.max(newest, entry.id);
  if (WHOLE.includes(entry.kind)) { soon(); return; }
  const narrow = "narrow" in columns().dataset;
  // What a run does changes no match: those cards are brought up to date where they are.
  if (narrow && entry.kind.startsWith("ticket.")) soon();
  if (!entry.card) return;
  if (narrow ? !cardOf(entry.ticket) : !wanted(entry)) return;
  await show(entry);
  if (!narrow) count(entry);
}

let queue = Promise.resolve();
document.addEventListener("live", ({ detail }) => { queue = queue.then(() => take(detail)); });
document.addEventListener("live:behind", () => soon());

export function hold() { held ??= []; }

export function release() {
  const waiting = held || [];
  held = null;
  for (const entry of waiting) queue = queue.then(() => take(entry));
}

// After something that this page did: the feed tells of it, but for a page that is not connected.
export function caughtUp() {
  if (status().state !== "open") soon();
}

const seen = () => [...columns().querySelectorAll("[data-column]")]
  .map((column) => `${column.dataset.column}.${column.querySelectorAll(".card").length}`).join(",");

export function soon() {
  again = true;
  timer ||= setTimeout(fetchColumns, GATHER_MS);
}

// With another filter: what is asked for already is for nothing.
export async function fetchNow({ fresh = false } = {}) {
  clearTimeout(timer);
  timer = 0;
  fetching?.abort();
  fetching = null;
  await fetchColumns({ fresh });
}

async function fetchColumns({ fresh = false } = {}) {
  timer = 0;
  if (fetching) return; // it looks again when it is done
  again = false;
  const own = fetching = new AbortController();
  try {
    const answer = await get(`/?${filterQuery({ part: "columns", seen: fresh ? "" : seen() })}`, own.signal);
    if (fetching !== own) return;
    if (!answer.ok || held) { again = true; return; }
    await replace(answer.text, fresh);
    again ||= Number(columns().dataset.cursor) < newest;
  } catch (error) {
    if (error.name !== "AbortError") again = true;
  } finally {
    if (fetching === own) {
      fetching = null;
      if (again) timer ||= setTimeout(fetchColumns, held ? 500 : GATHER_MS * 4);
    }
  }
}

async function replace(text, fresh) {
  const focused = focusedId();
  await keeping(columns(), () => put(columns(), text, "outerMorph"));
  if (fresh) for (const list of columns().querySelectorAll(".cards")) list.scrollTop = 0;
  refocus(focused);
  document.dispatchEvent(new CustomEvent("board:replaced"));
  refreshed(columns());
}
