// Several cards at once: chosen by their boxes, by x, or as a range with Shift; the bar at the bottom does the same with all.
import { cardOf, columns, filterQuery, mayAct } from "./board-parts.js";
import { complain, fill, messages, send } from "./board-dialog.js";
import { caughtUp } from "./board-live.js";
import { current, focus } from "./board-focus.js";
import { key } from "./keys.js";

const bar = document.getElementById("bulk");
const told = document.getElementById("picked");
const dialog = document.getElementById("move-dialog");
const chosen = new Set();
let anchor = "";
let last = ""; // the card that was chosen last, where the focus goes when the bar does

const boxes = () => [...columns().querySelectorAll(".pick")];

function show() {
  const leaves = !chosen.size && bar.contains(document.activeElement);
  for (const box of boxes()) {
    box.checked = chosen.has(box.value);
    box.closest(".card").classList.toggle("picked", box.checked);
  }
  bar.classList.toggle("has", chosen.size > 0);
  columns().classList.toggle("picking", chosen.size > 0);
  told.textContent = chosen.size === 1 ? "1 ticket selected" : `${chosen.size} tickets selected`;
  // Messages stand above the bar, and not on it.
  document.getElementById("toasts").style.translate = chosen.size ? `0 -${bar.offsetHeight + 8}px` : "";
  const card = leaves && cardOf(last);
  if (card) focus(card);
  else if (leaves) document.getElementById("main").focus();
}

function set(name, on) {
  if (on) chosen.add(name); else chosen.delete(name);
}

function range(to) {
  const all = boxes().map((box) => box.value);
  const [from, until] = [all.indexOf(anchor), all.indexOf(to)].sort((a, b) => a - b);
  if (from < 0) return [to];
  return all.slice(from, until + 1);
}

function toggle(name, { ranged = false } = {}) {
  const on = ranged || !chosen.has(name);
  for (const one of ranged ? range(name) : [name]) set(one, on);
  anchor = last = name;
  show();
}

function clear() {
  chosen.clear();
  anchor = "";
  show();
}

document.addEventListener("click", (event) => {
  const box = event.target.closest?.(".pick");
  if (!box || !columns().contains(box)) return;
  // The browser has changed the box already; what is chosen is what counts.
  const on = box.checked;
  for (const one of event.shiftKey && anchor ? range(box.value) : [box.value]) set(one, on);
  anchor = last = box.value;
  show();
});
// Shift and a click on a card: a range from the one chosen before; with Mod, this one too.
document.addEventListener("click", (event) => {
  const card = event.target.closest?.("#part-columns .card");
  if (!card || !mayAct() || !event.shiftKey || event.target.closest(".pick, button, textarea, .card-form")) return;
  event.preventDefault();
  document.getSelection()?.removeAllRanges();
  toggle(card.dataset.key, { ranged: Boolean(anchor) });
}, true);

document.getElementById("unpick").addEventListener("click", clear);

async function act(form, submitter) {
  const meant = [...chosen];
  const answer = await send(form, submitter, form === bar ? { keys: meant.join(","), back: filterQuery() } : {});
  if (!answer) return;
  if (answer.ok && /id="part-cancel"/.test(answer.text)) { await fill(dialog, answer.text, meant[0]); return; }
  if (!answer.ok) { complain(answer); return; }
  if (dialog.open) dialog.close();
  // What was chosen while the answer was on its way stays so.
  for (const name of meant) chosen.delete(name);
  if (!chosen.size) anchor = "";
  bar.elements.label.value = "";
  show();
  await messages(answer.text);
  caughtUp();
}
bar.addEventListener("submit", (event) => { event.preventDefault(); act(bar, event.submitter); });
// Enter in the field of the label adds it, and does not do what the first button does.
bar.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.target.name !== "label") return;
  event.preventDefault();
  bar.requestSubmit(bar.querySelector("[value=label]"));
});
dialog.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-bulk]");
  if (form) { event.preventDefault(); act(form, event.submitter); }
});

// A card that has left the board is not chosen without being seen.
document.addEventListener("refreshed", () => {
  if (!chosen.size && !bar.classList.contains("has")) return;
  for (const name of chosen) if (!cardOf(name)) chosen.delete(name);
  show();
});
key("x", "Select the ticket", () => toggle(current().dataset.key), { group: "Board", when: () => Boolean(current()) && mayAct() });
key("Shift+x", "Select up to this ticket", () => toggle(current().dataset.key, { ranged: Boolean(anchor) }), { group: "Board", when: () => Boolean(current()) && mayAct() });
key("Escape", "Select nothing", clear, { group: "Board", when: () => chosen.size > 0 });
addEventListener("pageshow", show);
show();
