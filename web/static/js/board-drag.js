// Drag and drop: while a card is dragged, each column says what dropping it there does, and those that may not take it are dimmed.
import { cardOf, columns, mayAct, meaning } from "./board-parts.js";
import { hold, release } from "./board-live.js";
import { move } from "./board-moves.js";

const LIBRARY = new URL("../vendor/sortable.js", import.meta.url);
const OWN = "input, textarea, select, button, .card-menu, .card-form, .facts a";
let Sortable = null;
let back = null; // where the dragged card stood

const stateOf = (list) => list.closest("[data-column]").dataset.column;

function begin({ item, from }) {
  hold();
  back = { list: from, next: item.nextElementSibling };
  columns().classList.add("dragging");
  for (const column of columns().querySelectorAll("[data-column]")) {
    const what = meaning(item.dataset.state, column.dataset.column);
    column.classList.toggle("refuses", Boolean(what.refused));
    column.querySelector(".column-says").textContent = what.refused || `${what.label}. ${what.says}`;
    if (column.matches(".shelf")) column.querySelector(".cards").hidden = false;
  }
}

function restore(item) {
  back.list.insertBefore(item, back.next?.isConnected ? back.next : back.list.querySelector(":scope > .more"));
}

// A card that is let go elsewhere than in the column that holds its place by then is not moved: what was passed on the way, and
// may take it, is not what was meant.
function meant({ originalEvent }, list) {
  const { clientX, clientY } = originalEvent?.changedTouches?.[0] || originalEvent || {};
  const under = clientX === undefined ? null : document.elementFromPoint(clientX, clientY);
  return under?.closest("[data-column]") === list.closest("[data-column]");
}

async function end(event) {
  const { item, from, to } = event;
  const dropped = meant(event, to);
  columns().classList.remove("dragging");
  for (const column of columns().querySelectorAll("[data-column]")) column.classList.remove("refuses");
  const beside = (sibling) => (sibling?.matches(".card") ? sibling.dataset.key : "");
  const place = { after: beside(item.previousElementSibling), before: beside(item.nextElementSibling) };
  const moved = from !== to || item.nextElementSibling !== back.next;
  const target = stateOf(to);
  const shelf = to.closest(".shelf");
  if (shelf) restore(item);
  for (const list of columns().querySelectorAll(".shelf .cards")) list.hidden = true;
  const done = moved && dropped && await move(item.dataset.key, target, place);
  // What was refused, or is asked about first, goes back; what was done, the feed shows as it is.
  if (!done && !shelf && cardOf(item.dataset.key) === item) restore(item);
  release();
}

function wire() {
  if (!Sortable || !mayAct()) return;
  for (const list of columns().querySelectorAll(".cards")) {
    if (Sortable.get(list)) continue;
    Sortable.create(list, {
      group: "board",
      draggable: ".card",
      filter: OWN,
      preventOnFilter: false,
      forceFallback: true, // a card is a link, which browsers drag as such
      fallbackOnBody: true,
      fallbackTolerance: 5,
      delay: 300,
      delayOnTouchOnly: true,
      touchStartThreshold: 5,
      animation: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 120,
      ghostClass: "ghost",
      fallbackClass: "held",
      scrollSensitivity: 60,
      onStart: begin,
      onMove: ({ dragged, to }) => !meaning(dragged.dataset.state, stateOf(to)).refused,
      onEnd: end,
    });
  }
  document.getElementById("board").dataset.drag = "ready";
}

async function load() {
  await import(LIBRARY); // its small build is a plain script, which leaves its name on the window
  ({ Sortable } = window);
  wire();
}

// The browser's own drag of the link would end ours.
document.addEventListener("dragstart", (event) => { if (Sortable && event.target.closest?.("#part-columns .card")) event.preventDefault(); });

// It is not needed for the first paint, nor by those who move by key or touch alone.
if (mayAct()) (window.requestIdleCallback || setTimeout)(load);
document.addEventListener("board:replaced", wire);
