// The command palette: pages, what the keys of this page do, what its buttons offer, settings, and tickets.
import { keys, shown } from "./keys.js";
import { find, remember, remembered, score } from "./finding.js";

const PAUSE_MS = 120;
const MOST = { Recent: 5, Tickets: 8, other: 12 };
let parts = null;
let commands = [];
let tickets = [];
let options = [];
let chosen = 0;
let timer = 0;
let search = null;

function element(tag, attributes = {}, ...content) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...content);
  return made;
}

// What can be done here and now; asked for before the dialog takes the focus.
function gather() {
  const found = [];
  for (const link of document.querySelectorAll(".nav a[href], #person-menu a[href], #new-ticket")) {
    found.push({ group: "Pages", title: link.getAttribute("aria-label") || link.firstChild.textContent.trim(), url: link.getAttribute("href") });
  }
  for (const one of document.querySelectorAll("[data-command], #part-actions :is(button, a.button)")) {
    if (!one.checkVisibility() || one.disabled) continue;
    const words = one.dataset.command || one.textContent.trim();
    const ticket = one.closest("[data-key]")?.dataset.key;
    found.push({ group: ticket || "Here", title: words, run: () => one.click() });
  }
  const target = document.activeElement;
  for (const entry of keys({ usable: true })) {
    if (/Escape|Arrow/.test(entry.combo) || entry.title === "Command palette") continue;
    const same = found.find(({ title }) => title === entry.title || `Go to the ${title.toLowerCase()}` === entry.title);
    if (same) { same.keys ||= entry.combo; continue; }
    const run = () => { target?.focus?.(); entry.handler(new KeyboardEvent("keydown")); };
    found.push({ group: entry.group, title: entry.title, keys: entry.combo, run });
  }
  return found;
}

function option(item, at) {
  const one = element("div", { role: "option", id: `palette-${at}`, "aria-selected": "false" });
  if (item.key) one.append(element("span", { class: "key" }, item.key));
  one.append(element("span", { class: "words", dir: "auto" }, item.title));
  if (item.state) one.append(element("span", { class: `state state-${item.state}` }, item.state));
  if (item.keys) {
    const hint = element("span", { class: "keys", "aria-hidden": "true" });
    for (const part of shown(item.keys)) hint.append(part === "then" ? " " : element("kbd", {}, part));
    one.append(hint);
  }
  return one;
}

function choose(at) {
  parts.list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
  chosen = options.length ? (at + options.length) % options.length : 0;
  const one = document.getElementById(`palette-${chosen}`);
  one?.setAttribute("aria-selected", "true");
  one?.scrollIntoView({ block: "nearest" });
  if (one) parts.field.setAttribute("aria-activedescendant", one.id);
  else parts.field.removeAttribute("aria-activedescendant");
}

function results(text) {
  const known = new Set();
  const recent = remembered().filter((item) => item.url !== location.pathname).map((item) => ({ ...item, group: "Recent" }));
  const ranked = [...recent, ...commands].map((item) => ({ item, rank: score(text, `${item.key || ""} ${item.title}`) })).filter(({ rank }) => rank > 0);
  if (text) ranked.sort((a, b) => b.rank - a.rank);
  const groups = new Map();
  for (const item of [...ranked.map((one) => one.item), ...tickets.map((one) => ({ ...one, group: "Tickets" }))]) {
    if (item.url && known.has(item.url)) continue;
    if (item.url) known.add(item.url);
    const list = groups.get(item.group) || groups.set(item.group, []).get(item.group);
    if (list.length < (MOST[item.group] || MOST.other)) list.push(item);
  }
  return groups;
}

function show() {
  const text = parts.field.value.trim();
  options = [];
  const lists = [...results(text)].map(([name, items], number) => {
    const head = element("div", { id: `palette-group-${number}`, role: "presentation" }, name);
    const group = element("div", { role: "group", "aria-labelledby": head.id }, head);
    for (const item of items) { group.append(option(item, options.length)); options.push(item); }
    return group;
  });
  parts.list.replaceChildren(...lists);
  parts.list.hidden = !options.length;
  parts.none.hidden = options.length > 0;
  parts.said.replaceChildren(options.length === 1 ? "1 found" : `${options.length} found`);
  choose(0);
}

function typed() {
  clearTimeout(timer);
  search?.abort();
  const text = parts.field.value.trim();
  if (!text) tickets = [];
  show();
  if (text) timer = setTimeout(async () => {
    search = new AbortController();
    const found = await find(text, search.signal);
    if (found && parts.field.value.trim() === text) { tickets = found; const at = chosen; show(); choose(Math.min(at, options.length - 1)); }
  }, PAUSE_MS);
}

function go(at, apart) {
  const item = options[at];
  if (!item) return;
  parts.dialog.close();
  if (item.key) remember(item);
  if (item.run) item.run();
  else if (apart) window.open(item.url, "_blank");
  else location.assign(item.url);
}

function pressed(event) {
  if (!parts.dialog.open) return; // its field has the focus until the next frame
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
  const step = steps[event.key] || (event.ctrlKey && { n: 1, p: -1 }[event.key]);
  if (step) choose(Math.abs(step) === 1 ? chosen + step : Math.min(Math.max(chosen + step, 0), options.length - 1));
  else if (event.key === "Enter" && !event.isComposing) go(chosen, event.ctrlKey || event.metaKey);
  else if ((event.ctrlKey || event.metaKey) && event.key === "k") parts.dialog.close();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function make() {
  const field = element("input", {
    type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "palette-list", "aria-autocomplete": "list", autocomplete: "off",
    spellcheck: "false", "aria-label": "Command, page or ticket", placeholder: "Command, page or ticket",
  });
  const list = element("div", { class: "palette-list", id: "palette-list", role: "listbox", "aria-label": "Found" });
  const none = element("p", { class: "palette-none" }, "Nothing of that name.");
  const said = element("p", { class: "hidden", role: "status" });
  const foot = element("p", { class: "palette-foot" }, "↑ ↓ choose · Enter goes · Ctrl Enter in a new tab · Esc closes");
  const dialog = element("dialog", { id: "palette", "aria-label": "Command palette" });
  dialog.append(element("div", { class: "palette-field" }, field), list, none, foot, said);
  field.addEventListener("input", typed);
  field.addEventListener("keydown", pressed);
  list.addEventListener("pointermove", ({ target }) => { const one = target.closest("[role=option]"); if (one) choose(Number(one.id.slice(8))); });
  list.addEventListener("click", (event) => { const one = event.target.closest("[role=option]"); if (one) go(Number(one.id.slice(8)), event.ctrlKey || event.metaKey); });
  dialog.addEventListener("click", ({ target }) => { if (target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => search?.abort());
  document.body.append(dialog);
  return { dialog, field, list, none, said };
}

export function open() {
  parts ??= make();
  if (parts.dialog.open) return;
  commands = gather();
  tickets = [];
  parts.field.value = "";
  parts.dialog.showModal();
  show();
}
