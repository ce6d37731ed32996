// The keyboard, in one place: `?` lists what is registered here, the palette offers it.
//
//   key("c", "New ticket", open, { group: "Board", when: () => ... })
//
// Combos: "c", "?", "g b" (one after the other), "Shift+ArrowUp", "Mod+Enter" (Mod is Cmd on a Mac, Ctrl elsewhere), "Escape".
// Without a combo ("") it is a command of the palette alone. The one registered last is asked first; where its `when` says no, the next one is. Nothing fires while somebody types,
// but for what has Mod and for Escape; nothing fires below a modal dialog, but for keys with `modal`. Enter and Space belong to a
// focused link or button. A handler gets the event, whose default is prevented.
const SEQUENCE_MS = 1200;
const EARLY_MS = 2000;
const MAC = /Mac|iP(hone|ad|od)/.test(navigator.platform);
const TEXT = "input:not([type=checkbox], [type=radio], [type=button], [type=submit], [type=reset], [type=range], [type=color]), textarea, select";
const OWN = "a[href], button, summary, input, select, textarea, [role=button], [role=menuitem], [role=option], [role=tab]";
const NAMED = { " ": "Space", Esc: "Escape" };
const SHOWN = {
  Mod: MAC ? "⌘" : "Ctrl", Alt: MAC ? "⌥" : "Alt", Shift: MAC ? "⇧" : "Shift", Escape: "Esc",
  ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→",
};
const registered = [];
let pending = [];
let forgetting = 0;

// One step as it is compared: modifiers in a fixed order, letters small, Shift only where it is not part of the character.
function normal(step) {
  const parts = step === "+" ? ["+"] : step.split("+");
  let name = parts.pop() || "+";
  const held = new Set(parts);
  if (/^\p{Lu}$/u.test(name)) { held.add("Shift"); name = name.toLowerCase(); }
  return [...["Mod", "Alt", "Shift"].filter((one) => held.has(one)), name].join("+");
}

function stepOf(event) {
  const name = NAMED[event.key] || event.key;
  const character = name.length === 1;
  const letter = character && name.toLowerCase() !== name.toUpperCase();
  const held = [];
  if (MAC ? event.metaKey : event.ctrlKey) held.push("Mod");
  if (MAC ? event.ctrlKey : event.metaKey) held.push("Other");
  if (event.altKey) held.push("Alt");
  if (event.shiftKey && (letter || !character)) held.push("Shift");
  return [...held, letter ? name.toLowerCase() : name].join("+");
}

// A single character can be said or hit by accident (WCAG 2.1.4), so that those can be switched off.
const bare = (entry) => entry.steps.some((step) => !/^(Mod|Alt)\+/.test(step) && step.replace("Shift+", "").length === 1);

export function singleKeys() {
  try { return localStorage.getItem("single-keys") !== "off"; } catch { return true; }
}

export function setSingleKeys(on) {
  if (on) localStorage.removeItem("single-keys");
  else localStorage.setItem("single-keys", "off");
}

// A field of a dialog that was closed has the focus until the next frame; nobody types there.
export function typing(target = document.activeElement) {
  if (target?.closest?.("dialog:not([open])")) return false;
  return Boolean(target?.closest?.(TEXT) || target?.isContentEditable);
}

// Registers a key; gives the function that takes it away again.
export function key(combo, title, handler, { group = "Everywhere", when = () => true, modal = false } = {}) {
  const entry = { combo, title, handler, group, when, modal, steps: combo ? combo.split(" ").map(normal) : [] };
  registered.push(entry);
  return () => { const at = registered.indexOf(entry); if (at >= 0) registered.splice(at, 1); };
}

// What can be done by key, in the order of registration; `usable` leaves out what does not apply here and now.
export function keys({ usable = false } = {}) {
  return usable ? registered.filter((entry) => entry.when()) : [...registered];
}

// "Mod+k" as ["Ctrl", "K"], "g b" as ["G", "then", "B"].
export function shown(combo) {
  return combo.split(" ").flatMap((step, at) => {
    const parts = normal(step).split(/\+(?=.)/).map((part) => SHOWN[part] || (part.length === 1 ? part.toUpperCase() : part));
    return at ? ["then", ...parts] : parts;
  });
}

function mayFire(entry, event) {
  const last = entry.steps.at(-1);
  const free = last.startsWith("Mod+") || last === "Escape";
  if (!free && typing(event.target)) return false;
  if (bare(entry) && !singleKeys()) return false;
  if (!entry.modal && document.querySelector("dialog:modal")) return false;
  if (!free || last === "Escape") if (document.querySelector(":popover-open:not(.toasts)")) return false;
  if (/^(Enter|Space)$/.test(last) && event.target.closest?.(OWN)) return false;
  return entry.when(event);
}

function forget() {
  clearTimeout(forgetting);
  pending = [];
}

function press(event) {
  const steps = [...pending, stepOf(event)];
  const begins = (entry) => steps.every((step, at) => entry.steps[at] === step);
  const candidates = registered.filter((entry) => begins(entry) && mayFire(entry, event));
  forget();
  const found = candidates.findLast((entry) => entry.steps.length === steps.length);
  if (found) {
    event.preventDefault();
    found.handler(event);
  } else if (candidates.length) {
    event.preventDefault();
    pending = steps;
    forgetting = setTimeout(forget, SEQUENCE_MS);
  } else if (loading() && /^(Shift\+)?\S$/.test(steps.at(-1))) {
    early = [...early.filter(fresh), event];
  }
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || /^(Shift|Control|Alt|Meta|AltGraph)$/.test(event.key)) return;
  press(event);
});

// Who opens a ticket with `o` and its third tab with `3` does not wait for the ticket's scripts in between: a key that nobody knows
// while scripts come is asked for once more when they are there, unless somebody types by then.
let parsed = document.readyState === "complete";
let early = [];
const fresh = ({ timeStamp }) => performance.now() - timeStamp < EARLY_MS;
const loading = () => !parsed || document.querySelector("[data-module]:not([data-loaded=yes])") !== null;

function again() {
  const held = early.filter(fresh);
  early = [];
  for (const event of held) if (!typing()) press(event);
}
document.addEventListener("DOMContentLoaded", () => { parsed = true; again(); });
document.addEventListener("part:loaded", again);
