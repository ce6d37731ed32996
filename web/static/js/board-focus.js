// The board by keyboard: walk the cards, and do with the one that has the focus what can be done with it.
import { cardsOf, columnOf, columns, mayAct, meaning } from "./board-parts.js";
import { menu, move } from "./board-moves.js";
import { key } from "./keys.js";
import { toast } from "./toasts.js";

const GROUP = "Board";
let last = ""; // the key of the card that had the focus, to come back to

export const current = () => document.activeElement?.closest?.("#part-columns .card") || null;
const states = () => [...columns().querySelectorAll("section[data-column]:not(.shelf)")].map((one) => one.dataset.column);

export function focus(card) {
  card.querySelector(".card-title").focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function anywhere() {
  return document.getElementById(`card-${last}`) || columns().querySelector(".card");
}

function walk(step) {
  const card = current();
  if (!card) { const first = anywhere(); if (first) focus(first); return; }
  const cards = cardsOf(card.dataset.state);
  const next = cards[cards.indexOf(card) + step];
  if (next) focus(next);
}

// To the card at the same height in the next column that has any.
function across(step) {
  const card = current();
  if (!card) { walk(0); return; }
  const all = states();
  const { top } = card.getBoundingClientRect();
  for (let at = all.indexOf(card.dataset.state) + step; all[at]; at += step) {
    const cards = cardsOf(all[at]);
    if (!cards.length) continue;
    const gap = (one) => Math.abs(one.getBoundingClientRect().top - top);
    focus(cards.reduce((best, one) => (gap(one) < gap(best) ? one : best)));
    return;
  }
}

async function shift(step) {
  const card = current();
  const cards = cardsOf(card.dataset.state);
  const next = cards[cards.indexOf(card) + step];
  if (!next) return;
  const place = step < 0 ? { before: next.dataset.key } : { after: next.dataset.key };
  await move(card.dataset.key, card.dataset.state, place);
}

// To the next column in that direction that may take it.
async function push(step) {
  const { key: name, state } = current().dataset;
  const all = [...states(), ...(columnOf("cancelled")?.matches(".shelf") ? ["cancelled"] : [])];
  const from = all.indexOf(state);
  for (let at = from + step; all[at]; at += step) {
    if (all[at] === "cancelled") break;
    if (!meaning(state, all[at]).refused) { await move(name, all[at]); return; }
  }
  const beside = all[from + step];
  toast(`${name} stays where it is`, { error: true, hint: beside ? meaning(state, beside).refused || "" : "There is no column on that side." });
}

const onCard = () => Boolean(current());
const onCardToAct = () => onCard() && mayAct();
key("j", "Next card", () => walk(1), { group: GROUP });
key("k", "Previous card", () => walk(-1), { group: GROUP });
key("h", "Card in the column to the left", () => across(-1), { group: GROUP });
key("l", "Card in the column to the right", () => across(1), { group: GROUP });
key("ArrowDown", "Next card", () => walk(1), { group: GROUP, when: onCard });
key("ArrowUp", "Previous card", () => walk(-1), { group: GROUP, when: onCard });
key("ArrowLeft", "Card in the column to the left", () => across(-1), { group: GROUP, when: onCard });
key("ArrowRight", "Card in the column to the right", () => across(1), { group: GROUP, when: onCard });
key("o", "Open the ticket's page", () => location.assign(current().querySelector(".card-title").href), { group: GROUP, when: onCard });
key("m", "Move the ticket", () => menu(current().dataset.key), { group: GROUP, when: onCardToAct });
key("Shift+ArrowUp", "Move the card up", () => shift(-1), { group: GROUP, when: onCardToAct });
key("Shift+ArrowDown", "Move the card down", () => shift(1), { group: GROUP, when: onCardToAct });
key("Shift+ArrowLeft", "Move the ticket to the left", () => push(-1), { group: GROUP, when: onCardToAct });
key("Shift+ArrowRight", "Move the ticket to the right", () => push(1), { group: GROUP, when: onCardToAct });

document.addEventListener("focusin", () => { const card = current(); if (card) last = card.dataset.key; });
