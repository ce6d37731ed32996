// The inbox by keyboard, and what becomes of the focus when an item goes.
import { key } from "./keys.js";
import { say } from "./say.js";

const GROUP = "Inbox";
const items = () => [...document.querySelectorAll(".waiting")];
const current = () => document.activeElement?.closest?.(".waiting");
const here = () => Boolean(document.querySelector(".inbox"));
let last = null; // the item that had the focus last, and those where it goes on: the next ones, then the ones before

function focus(item) {
  if (!item) return;
  item.focus();
  item.scrollIntoView({ block: "nearest" });
}

function walk(step) {
  const all = items();
  const at = all.indexOf(current());
  focus(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1)]);
}

function reply() {
  const item = current() || items().find((one) => one.querySelector("textarea"));
  (item?.querySelector("textarea") || item?.querySelector("select, button"))?.focus();
}

for (const [combo, step] of [["ArrowDown", 1], ["j", 1], ["ArrowUp", -1], ["k", -1]]) {
  key(combo, step > 0 ? "Next" : "Previous", () => walk(step), { group: GROUP, when: () => here() && items().length > 0 });
}
key("Enter", "Open", () => location.assign(current().dataset.open), { group: GROUP, when: () => here() && document.activeElement === current() });
key("r", "Answer", reply, { group: GROUP, when: () => here() && Boolean(document.querySelector(".waiting textarea")) });
key("Mod+Enter", "Send the answer", () => document.activeElement.form.requestSubmit(), {
  group: GROUP, when: () => document.activeElement?.matches?.(".waiting textarea"),
});
key("Escape", "Back to the item", () => focus(current()), { group: GROUP, when: () => document.activeElement?.matches?.(".waiting textarea, .waiting select") });

document.addEventListener("focusin", ({ target }) => {
  const item = target.closest?.(".waiting");
  if (item) {
    const ids = items().map((one) => one.id);
    const at = ids.indexOf(item.id);
    last = { id: item.id, then: [...ids.slice(at + 1), ...ids.slice(0, at).reverse()] };
  } else if (!target.matches?.("body, #main")) last = null;
});

// The item is answered and gone: the next one has the focus, and how many are left is said.
function mend() {
  if (!last || document.getElementById(last.id)) return;
  const gone = last.id.replace("waiting-", "");
  const left = items().length;
  say(left ? `${gone} is off the list, ${left} left.` : `${gone} is off the list, nothing is left.`);
  const next = last.then.map((id) => document.getElementById(id)).find(Boolean) || items()[0] || document.getElementById("main");
  last = null;
  if (document.activeElement === document.body || document.activeElement?.id === "main") focus(next);
}
for (const event of ["htmx:after:swap", "refreshed"]) document.addEventListener(event, mend);
