// What is said about lines: comments and drafts at their lines, and the form for a new one. The server renders both; they stand in
// #part-threads, and copies of them are put where their lines are.
import "./editor.js";
import { fetchLines, gaps } from "./review-gaps.js";
import { typedIn } from "./refresh.js";
import { toast } from "./toasts.js";

let forms = 0;

export class Remarks {
  constructor(root) {
    this.root = root;
  }

  get store() { return this.root.querySelector("#part-threads"); }
  get all() { return [...(this.store?.querySelectorAll(".remark") || [])]; }

  // All of them, or those of one file, at their lines.
  async place(section = null) {
    for (const copy of this.root.querySelectorAll(section ? `#${CSS.escape(section.id)} .remark-row` : ".file .remark-row")) {
      if (![...copy.querySelectorAll("form")].some(typedIn)) copy.remove();
    }
    for (const form of section?.forms?.splice(0) || []) this.seat(form);
    for (const remark of this.all) {
      const file = remark.dataset.file;
      const own = file && this.root.querySelector(`#f-${file}`);
      if (!own || (section && own !== section)) continue;
      if (await this.put(own, remark)) remark.hidden = true;
    }
    const title = this.store?.querySelector(".threads-title");
    if (title) title.hidden = !this.all.some((remark) => !remark.hidden);
  }

  async put(section, remark) {
    if (section.querySelector(`[data-copy-of="${remark.id}"]`)) return true;
    const { where, side, line } = remark.dataset;
    if (where === "file" || where === "outdated" || section.dataset.wait) { this.atTop(section, remark); return true; }
    if (section.dataset.drawn === undefined) return true; // its turn comes with the lines
    let row = this.root.lines.find(section.dataset.file, side, line);
    if (!row && await gaps.reveal(this.root.files, section, side, Number(line))) row = this.root.lines.find(section.dataset.file, side, line);
    if (section.querySelector(`[data-copy-of="${remark.id}"]`)) return true; // another call was faster
    if (!row) { this.atTop(section, remark); return true; }
    after(row, ".remark-row").after(this.row(remark));
    return true;
  }

  atTop(section, remark) {
    const holder = document.createElement("div");
    holder.className = "remark-row";
    holder.append(copy(remark));
    section.querySelector(".file-body").before(holder);
  }

  row(remark) {
    const row = document.createElement("tr");
    row.className = "remark-row";
    const cell = row.insertCell();
    cell.colSpan = this.root.split ? 4 : 3;
    cell.append(copy(remark));
    return row;
  }

  // The form below the lines that are chosen, or at the top of the file where there are none.
  open({ section, side = "new", from = 0, to = 0 }) {
    const template = document.getElementById("remark-form");
    if (!template) return;
    // A click that Shift reaches further from had opened one.
    for (const empty of section.querySelectorAll(".remark-form")) if (!empty.querySelector("textarea").value) empty.closest(".form-row").remove();
    const form = template.content.cloneNode(true).querySelector("form");
    forms += 1;
    const [label, area] = [form.querySelector("label"), form.querySelector("textarea")];
    area.id = `remark-body-${forms}`;
    label.htmlFor = area.id;
    const given = { path: section.dataset.path, line: to || "", start_line: from < to ? from : "", side };
    for (const [name, value] of Object.entries(given)) form.elements[name].value = value;
    form.elements.w.value = this.root.space ? "" : "1";
    const removed = side === "old" ? " that was removed" : "";
    form.querySelector(".remark-spot").textContent = !to ? "About the whole file" : from < to ? `About lines ${from} to ${to}${removed && " that were removed"}` : `About line ${to}${removed}`;
    if (!to || side === "old") form.querySelector("[data-act=suggest]").remove(); // what is gone has no place to be put anew
    form.about = { section, side, from, to, back: this.root.lines.focused };
    form.querySelector("md-editor").dataset.draft = `${this.root.dataset.key}:${section.dataset.file}:${side}:${from}-${to}`;
    const holder = this.seat(form);
    htmx.process(holder);
    area.focus({ preventScroll: true });
    holder.scrollIntoView({ block: "nearest", behavior: "instant" });
  }

  // The form at its lines, or at the top of its file.
  seat(form) {
    const { section, side, to } = form.about;
    const row = to ? this.root.lines.find(section.dataset.file, side, to) : null;
    const holder = document.createElement(row ? "tr" : "div");
    holder.className = "form-row";
    const place = row ? holder.insertCell() : holder;
    if (row) place.colSpan = this.root.split ? 4 : 3;
    place.append(form);
    if (row) after(row, ".remark-row").after(holder); else section.querySelector(".file-body").before(holder);
    return holder;
  }

  // Put the lines into the form as a suggestion, to be changed there.
  async suggest(form) {
    const { section, side, from, to } = form.about;
    const area = form.querySelector("textarea");
    let lines;
    try {
      // Not those of the page: it shows neither all lines between two places nor all of a long one.
      lines = (await fetchLines(this.root.files, section, from, to, side)).map((line) => line.replace(/\r$/, ""));
    } catch (error) {
      toast("The lines could not be read", { error: true, hint: error.message });
      return;
    }
    const text = lines.join("\n");
    let fence = "```";
    while (text.includes(fence)) fence += "`";
    const before = area.value && !area.value.endsWith("\n") ? `${area.value}\n` : area.value;
    area.value = `${before}${fence}suggestion\n${text}\n${fence}\n`;
    const begin = before.length + fence.length + "suggestion\n".length;
    area.rows = Math.min(16, area.value.split("\n").length + 1);
    area.focus();
    area.setSelectionRange(begin, begin + text.length);
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  dismiss(form, { ask = true } = {}) {
    const area = form.querySelector("textarea");
    if (ask && area.value.trim() && !form.dataset.sure) {
      form.dataset.sure = "1";
      toast("Press Cancel again to throw the comment away");
      return;
    }
    area.value = "";
    area.dispatchEvent(new Event("input", { bubbles: true })); // what this browser kept of it goes too
    const { back, section, side, to } = form.about;
    form.closest(".form-row").remove();
    this.root.lines.clear();
    const row = back?.isConnected ? back : to && this.root.lines.find(section.dataset.file, side, to);
    if (row) this.root.lines.focus(row);
    else this.root.focusHead(section);
  }

  // A form was sent and taken.
  async sent(form) {
    if (form.about) this.dismiss(form, { ask: false });
    else form.closest(".remark-row")?.remove();
    await this.place();
    this.tally();
  }

  tally() {
    const count = Number(this.root.querySelector("#part-pending")?.dataset.count || this.store?.dataset.count || 0);
    const badge = this.root.querySelector("[data-tally]");
    if (badge) { badge.textContent = count; badge.hidden = !count; }
  }

  // Bring a remark into view by its id; gives whether it is there.
  async show(name) {
    const remark = document.getElementById(name);
    const section = remark?.dataset.file && this.root.querySelector(`#f-${remark.dataset.file}`);
    if (!remark) return false;
    if (section) {
      this.root.unfold(section);
      await this.root.files.want(section, true);
      await this.place(section);
    }
    const shown = (section && section.querySelector(`[data-copy-of="${name}"]`)) || remark;
    shown.scrollIntoView({ block: "center", behavior: "instant" });
    shown.tabIndex = -1;
    shown.focus({ preventScroll: true });
    return true;
  }
}

function after(row, selector) {
  let last = row;
  while (last.nextElementSibling?.matches(selector)) last = last.nextElementSibling;
  return last;
}

function copy(remark) {
  const made = remark.cloneNode(true);
  made.removeAttribute("id");
  made.removeAttribute("hidden");
  made.dataset.copyOf = remark.id;
  for (const one of made.querySelectorAll("[id], [for]")) { one.removeAttribute("id"); one.removeAttribute("for"); }
  for (const one of made.querySelectorAll("[data-htmx-powered]")) one.removeAttribute("data-htmx-powered");
  queueMicrotask(() => htmx.process(made));
  return made;
}
