// The list of changed files beside the diffs: its filter, and which one the reader is at.
export function filter(tree, text) {
  const words = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const link of tree.querySelectorAll(".tree-file")) {
    const path = link.dataset.path.toLowerCase();
    const fits = words.every((word) => path.includes(word));
    link.closest("li").hidden = !fits;
    found += fits;
  }
  for (const folder of [...tree.querySelectorAll(".tree-folder")].reverse()) {
    folder.closest("li").hidden = !folder.querySelector("li:not([hidden]) > .tree-file");
    if (words.length) folder.open = true;
  }
  tree.querySelector(".tree-none").hidden = found > 0;
  for (const title of tree.querySelectorAll("h3")) title.hidden = words.length > 0;
}

export function mark(tree, section) {
  const link = section && tree.querySelector(`.tree-file[data-file="${section.dataset.file}"]`);
  const before = tree.querySelector("[aria-current]");
  if (before === link) return;
  before?.removeAttribute("aria-current");
  if (!link) return;
  link.setAttribute("aria-current", "true");
  const { top, bottom } = tree.getBoundingClientRect();
  const at = link.getBoundingClientRect();
  if (at.top < top || at.bottom > bottom) tree.scrollTop += at.top - (top + bottom) / 2;
}

export function viewed(tree, section, on) {
  tree.querySelector(`.tree-file[data-file="${section.dataset.file}"]`)?.classList.toggle("viewed", on);
}
