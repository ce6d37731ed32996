// What the board's modules share: its elements, its address, and a fetch of one of its parts.
import { typedIn } from "./refresh.js";

const root = document.getElementById("board");
const table = JSON.parse(root.dataset.moves);

export const columns = () => document.getElementById("part-columns");
export const columnOf = (state) => columns().querySelector(`[data-column="${CSS.escape(state)}"]`);
export const cardOf = (key) => document.getElementById(`card-${key}`);
export const cardsOf = (state) => [...(columnOf(state)?.querySelectorAll(".card") || [])];
export const inHand = (card) => card.matches(":hover, :focus-within") || [...card.querySelectorAll("form")].some(typedIn);
export const mayAct = () => document.body.dataset.role !== "viewer";

// What dropping a ticket of the one state in the column of the other does: { says, needs, label }, or { refused }.
export const meaning = (from, to) => table[from][to];

// The board's filter as a query, without what is not of the filter.
export const NAMES = ["project", "q", "agent", "label", "show"];
export function filterQuery(more = {}) {
  const now = new URLSearchParams(location.search);
  const query = new URLSearchParams();
  for (const name of NAMES) if (now.get(name)) query.set(name, now.get(name));
  for (const [name, value] of Object.entries(more)) if (value) query.set(name, value);
  return query.toString();
}

export async function get(url, signal) {
  const answer = await fetch(url, { headers: { "HX-Request": "true", Accept: "text/html" }, signal });
  return { ok: answer.ok, status: answer.status, text: await answer.text() };
}

export function fragment(text) {
  const holder = document.createElement("template");
  holder.innerHTML = text; // a part that the server made, in which all data is escaped
  return holder.content;
}

// Swapped in by htmx, so that forms and modules within work, and messages in the answer reach #toasts.
export function put(target, text, swap = "innerHTML") {
  return htmx.swap({ sourceElement: target, target, text, swap });
}

export function refreshed(detail) {
  document.dispatchEvent(new CustomEvent("refreshed", { detail }));
}
