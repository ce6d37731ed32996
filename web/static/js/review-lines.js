// Lines of a diff: which one has the keyboard's focus, which are chosen for a comment, and their addresses (#f-<file>-R12).
export class Lines {
  constructor(root) {
    this.root = root;
    this.chosen = null; // { section, side, from, to }
    this.drag = null;
    this.current = null; // the row with the keyboard's focus
  }

  rowsOf(section) { return [...section.querySelectorAll("tr.ln")]; }
  find(file, side, line) {
    const section = this.root.querySelector(`#f-${file}`);
    const row = section && this.root.files.of(section).index[side].get(Number(line));
    return row?.isConnected ? row : null;
  }

  // The side and number that a row stands for: the new one where it has one, the old one where that was asked for.
  spot(row, prefer = "") {
    const number = (side) => Number(row.querySelector(`td.no.${side}`)?.dataset.n || 0);
    const changed = row.querySelector("td.code.old.del") || row.classList.contains("del");
    const sides = prefer ? [prefer, prefer === "old" ? "new" : "old"] : changed && !number("new") ? ["old"] : ["new", "old"];
    for (const side of sides) if (number(side)) return { side, line: number(side) };
    return null;
  }

  choose(section, side, one, other = one) {
    this.chosen = { section, side, from: Math.min(one, other), to: Math.max(one, other) };
    this.paint();
  }

  clear() {
    this.chosen = null;
    this.paint();
  }

  paint() {
    for (const cell of this.root.querySelectorAll("tr.chosen, td.chosen")) cell.classList.remove("chosen");
    if (!this.chosen) return;
    const { section, side, from, to } = this.chosen;
    for (let line = from; line <= to; line += 1) {
      const row = this.find(section.dataset.file, side, line);
      if (!row) continue;
      if (this.root.split) for (const cell of row.querySelectorAll(`td.${side}`)) cell.classList.add("chosen");
      else row.classList.add("chosen");
    }
  }

  // Mouse: press on a number, draw, let go. Shift reaches from what was chosen before.
  press(event) {
    const cell = event.target.closest("td.no[data-n]");
    if (!cell || event.button !== 0) return false;
    event.preventDefault();
    const section = cell.closest(".file");
    const side = cell.classList.contains("old") ? "old" : "new";
    const line = Number(cell.dataset.n);
    const { chosen } = this;
    const begin = event.shiftKey && chosen && chosen.section === section && chosen.side === side ? chosen.from : line;
    this.drag = { section, side, begin };
    this.choose(section, side, begin, line);
    return true;
  }

  over(event) {
    if (!this.drag) return;
    const row = document.elementFromPoint(event.clientX, event.clientY)?.closest?.("tr.ln");
    if (!row || row.closest(".file") !== this.drag.section) return;
    const number = Number(row.querySelector(`td.no.${this.drag.side}`)?.dataset.n || 0);
    if (number && (number !== this.chosen.to || number !== this.chosen.from)) this.choose(this.drag.section, this.drag.side, this.drag.begin, number);
  }

  release() {
    const was = this.drag;
    this.drag = null;
    if (was) history.replaceState(history.state, "", `#f-${was.section.dataset.file}-${was.side === "old" ? "L" : "R"}${this.chosen.from}`);
    return was ? this.chosen : null;
  }

  // Keyboard.
  focus(row, { centre = false } = {}) {
    if (!row) return;
    if (this.current && this.current !== row) this.current.removeAttribute("tabindex");
    this.current = row;
    row.tabIndex = -1;
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: centre ? "center" : "nearest", behavior: "instant" });
  }

  get focused() { return document.activeElement?.closest?.("tr.ln"); }

  move(step, extend) {
    const row = this.focused;
    const section = row.closest(".file");
    const all = this.rowsOf(section);
    const next = all[all.indexOf(row) + step];
    if (!next) return;
    if (extend) this.extend(section, row, next);
    else this.anchor = null;
    this.focus(next);
  }

  extend(section, row, next) {
    const { chosen } = this;
    const goingOn = this.anchor && chosen && chosen.section === section;
    const begin = goingOn ? { side: chosen.side, line: this.anchor } : this.spot(row);
    const end = this.spot(next, begin.side);
    if (!end) return;
    // From removed lines to added ones: it is about those that are there now.
    const from = end.side === begin.side ? begin.line : end.line;
    this.anchor = from;
    this.choose(section, end.side, from, end.line);
  }

  // What a comment is about: the chosen lines, or the focused one.
  target() {
    const row = this.focused || this.current;
    if (this.chosen && (!row?.isConnected || this.chosen.section === row.closest(".file") || !this.focused)) return this.chosen;
    if (!row?.isConnected) return null;
    const spot = this.spot(row);
    return spot && { section: row.closest(".file"), side: spot.side, from: spot.line, to: spot.line };
  }
}
