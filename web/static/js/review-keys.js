// The keys of a review.
import { key } from "./keys.js";

const group = "Changes";
// Beside the board its keys are the review's while the focus is within the ticket.
function usable(one) {
  const pane = one.closest("#pane");
  return one.checkVisibility() && one.dataset.plain === undefined && one.files?.sections.length && (!pane || pane.contains(document.activeElement));
}
const review = () => [...document.querySelectorAll("change-review")].find(usable);
const here = () => Boolean(review());
const line = () => Boolean(review()?.lines.focused);
const opened = () => review()?.querySelector("details.verdict-form[open]");

// The first changed lines of each place, over all files.
function heads(root) {
  const found = [];
  for (const section of root.files.sections) {
    if (section.classList.contains("folded")) continue;
    if (section.dataset.drawn === undefined) { found.push({ section, row: null }); continue; }
    let before = false;
    for (const row of section.querySelectorAll("tr.ln")) {
      const changed = !row.classList.contains("same");
      if (changed && !before) found.push({ section, row });
      before = changed;
    }
  }
  return found;
}

async function hunk(by) {
  const root = review();
  const all = heads(root);
  const from = root.lines.focused || root.lines.current || root.focusedHead;
  const at = from?.isConnected ? from : null;
  const place = (one) => one.row || one.section;
  const isAfter = (one) => (at ? at.compareDocumentPosition(place(one)) & Node.DOCUMENT_POSITION_FOLLOWING : place(one).getBoundingClientRect().top > root.stick + 40);
  const isBefore = (one) => (at ? at.compareDocumentPosition(place(one)) & Node.DOCUMENT_POSITION_PRECEDING && !place(one).contains(at) : place(one).getBoundingClientRect().top < 0);
  const found = by > 0 ? all.find(isAfter) : all.findLast(isBefore);
  if (!found) return;
  root.lines.clear();
  if (found.row) { root.lines.focus(found.row, { centre: true }); root.follow(); return; }
  root.jump(found.section);
  await root.files.want(found.section, true);
  const rows = [...found.section.querySelectorAll("tr.ln:not(.same)")];
  const first = by > 0 ? rows[0] : rows.at(-1);
  if (first) root.lines.focus(first, { centre: true });
  else root.jump(found.section, { focus: true });
}

function comment() {
  const root = review();
  const target = root.lines.target();
  if (target) root.remarks.open(target);
  else root.remarks.open({ section: root.current });
}

// The file that something is to be done to: the one that has the focus, or the one that is seen.
const own = () => document.activeElement?.closest?.("change-review .file") || review().current;

export function register() {
  const say = { group, when: here };
  key("j", "Next file", () => review().step(1), say);
  key("k", "Previous file", () => review().step(-1), say);
  key("n", "Next change", () => hunk(1), say);
  key("p", "Previous change", () => hunk(-1), say);
  key("ArrowDown", "Next line", () => review().lines.move(1), { group, when: line });
  key("ArrowUp", "Previous line", () => review().lines.move(-1), { group, when: line });
  key("Shift+ArrowDown", "Choose one line more", () => review().lines.move(1, true), { group, when: line });
  key("Shift+ArrowUp", "Choose one line more, upwards", () => review().lines.move(-1, true), { group, when: line });
  key("c", "Comment on the line, the chosen lines or the file", comment, { group, when: () => here() && Boolean(document.getElementById("remark-form")) });
  key("v", "Mark the file as viewed", () => review().view(own(), { onward: true }), say);
  key("x", "Fold the file", () => review().toggle(own()), say);
  key("Enter", "Fold the file", () => review().toggle(own()), { group, when: () => Boolean(document.activeElement?.closest?.("change-review .file-head")) });
  key("s", "One column or two", () => review().look(!review().besides), say);
  key("w", "Ignore space, or show it", () => review().toggleSpace(), say);
  key("t", "List of files", () => review().acts.tree.call(review()), say);
  key("u", "See what is new", () => document.getElementById("see-new").click(), { group, when: () => Boolean(review()?.querySelector("#see-new")) });
  key("Shift+A", "Approve", () => review().verdict("approve"), { group, when: () => Boolean(review()?.querySelector("#verdict-approve")) });
  key("Shift+R", "Request changes", () => review().verdict("changes"), { group, when: () => Boolean(review()?.querySelector("#verdict-changes")) });
  key("Mod+Enter", "Send the verdict", () => opened().querySelector("form").requestSubmit(), { group, when: () => Boolean(opened()?.contains(document.activeElement)) });
  key("Escape", "Close the form", () => {
    const form = document.activeElement.closest(".remark-form");
    if (form) { review().remarks.dismiss(form); return; }
    const box = opened();
    box.open = false;
    box.querySelector("summary").focus();
  }, { group, when: () => Boolean(document.activeElement?.closest?.("change-review .remark-form, change-review details.verdict-form[open]")) });
  key("Escape", "Choose no lines", () => review().lines.clear(), { group, when: () => Boolean(review()?.lines.chosen) && !document.activeElement?.closest?.(".remark-form, .verdict-form[open]") });
}
