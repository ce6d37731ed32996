// `?`: every key that is registered, by group, and whether those of a single character are wanted at all.
import { key, keys, setSingleKeys, shown, singleKeys } from "./keys.js";

const FIRST = ["Everywhere", "Pages"];

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

function combination(combo) {
  return shown(combo).flatMap((part) => (part === "then" ? [element("span", "then", " then ")] : [element("kbd", "", part), " "]));
}

// One line for each title of a group, with all its keys.
function groups() {
  const found = new Map();
  for (const { combo, title, group } of keys()) {
    if (!combo) continue;
    const lines = found.get(group) || found.set(group, new Map()).get(group);
    lines.set(title, (lines.get(title) || new Set()).add(combo));
  }
  const order = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : -1);
  return [...found].sort(([a], [b]) => order(a) - order(b));
}

function section([name, lines]) {
  const list = element("dl", "");
  for (const [title, combos] of lines) {
    const all = [...combos].flatMap((combo, at) => (at ? [element("span", "then", " or "), ...combination(combo)] : combination(combo)));
    list.append(element("dt", "", title), element("dd", "", ...all));
  }
  return element("section", "", element("h3", "", name), list);
}

function make() {
  const dialog = element("dialog", "");
  dialog.id = "help";
  dialog.setAttribute("aria-labelledby", "help-title");
  const title = element("h2", "", "Keyboard shortcuts");
  title.id = "help-title";
  const close = element("button", "icon plain", "×");
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", () => dialog.close());
  const box = element("input", "");
  box.type = "checkbox";
  box.addEventListener("change", () => setSingleKeys(box.checked));
  const foot = element("div", "dialog-foot", element("label", "tick", box, "Shortcuts of a single character"));
  const body = element("div", "dialog-body help-groups");
  body.tabIndex = 0;
  body.setAttribute("role", "region");
  body.setAttribute("aria-labelledby", "help-title");
  dialog.append(element("div", "dialog-head", title, close), body, foot);
  dialog.addEventListener("click", ({ target }) => { if (target === dialog) dialog.close(); });
  document.body.append(dialog);
  return { dialog, body, box };
}

let parts = null;

export function open() {
  parts ??= make();
  if (parts.dialog.open) { parts.dialog.close(); return; }
  parts.body.replaceChildren(...groups().map(section));
  parts.box.checked = singleKeys();
  parts.dialog.showModal();
}

key("?", "List of keys", () => parts.dialog.close(), { modal: true, when: () => Boolean(parts?.dialog.open) });
