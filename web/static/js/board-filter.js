// The filter bar: what is typed and chosen is in the address at once, and the columns follow.
import { columns, filterQuery, NAMES } from "./board-parts.js";
import { fetchNow } from "./board-live.js";
import { key } from "./keys.js";

const TYPING_MS = 180;
const form = document.getElementById("filter");
const found = document.getElementById("found");
const clear = document.getElementById("filter-clear");
let timer = 0;
let typed = false; // an address for each letter would make the way back long

function values() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value.trim()) query.set(name, value.trim());
  const open = new URLSearchParams(location.search).get("open");
  if (open) query.set("open", open);
  return query.toString();
}

async function apply({ typing = false } = {}) {
  clearTimeout(timer);
  const query = values();
  if (query !== new URLSearchParams(location.search).toString()) {
    history[typing && typed ? "replaceState" : "pushState"](null, "", query ? `/?${query}` : "/");
    typed = typing;
  }
  found.setAttribute("aria-busy", "true");
  await fetchNow({ fresh: true });
  found.removeAttribute("aria-busy");
  tell();
}

const NUMBERS = new Intl.NumberFormat("en");

function tell() {
  const number = Number(columns().dataset.found);
  clear.hidden = !filterQuery();
  const text = `${NUMBERS.format(number)} ${number === 1 ? "ticket" : "tickets"}${filterQuery() ? " found" : ""}`;
  if (found.textContent !== text) found.textContent = text;
  for (const name of NAMES) point(form.elements[name], document.getElementById(`wrong-${name}`));
}

// The field that a problem above the columns is about.
function point(field, wrong) {
  if (!field) return;
  for (const [name, value] of [["aria-invalid", "true"], ["aria-describedby", wrong?.id]]) {
    if (wrong) field.setAttribute(name, value); else field.removeAttribute(name);
  }
}

// The fields as the address says, after going back or forward.
function restore() {
  const now = new URLSearchParams(location.search);
  for (const name of NAMES) {
    const field = form.elements[name];
    if (field) field.value = now.get(name) || "";
  }
  typed = false;
}

form.addEventListener("input", ({ target }) => {
  if (!target.matches("[type=search]")) return;
  clearTimeout(timer);
  timer = setTimeout(() => apply({ typing: true }), TYPING_MS);
});
form.addEventListener("change", ({ target }) => { if (target.matches("select")) apply(); });
// Enter and the arrow down lead from what is typed to what was found.
async function enter(event) {
  event.preventDefault();
  await apply({ typing: true });
  columns().querySelector(".card-title")?.focus();
}
form.addEventListener("submit", enter);
form.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" && event.target.matches("[type=search]")) enter(event);
  if (event.key !== "Escape" || !event.target.matches("[type=search]") || !event.target.value) return;
  event.preventDefault();
  event.stopPropagation();
  event.target.value = "";
  apply();
});

function reset() {
  for (const field of form.querySelectorAll("select, [type=search]")) field.value = "";
  apply();
}
clear.addEventListener("click", (event) => {
  event.preventDefault();
  reset();
  form.querySelector("[type=search]").focus();
});
let shownQuery = filterQuery();
document.addEventListener("board:counted", tell);
document.addEventListener("board:replaced", () => { shownQuery = filterQuery(); tell(); });
addEventListener("popstate", () => {
  restore();
  if (filterQuery() !== shownQuery) fetchNow({ fresh: true });
});
key("Shift+f", "Clear the filter", reset, { group: "Board", when: () => Boolean(filterQuery()) });
