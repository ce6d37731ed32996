// <change-review>: the review of a ticket's changes. Without scripts it is a list of files, a page with all lines, and forms.
import { library } from "./review-draw.js";
import { gaps } from "./review-gaps.js";
import { Files } from "./review-files.js";
import { Lines } from "./review-lines.js";
import { Remarks } from "./review-remarks.js";
import { filter, mark, viewed as markViewed } from "./review-tree.js";
import { register } from "./review-keys.js";
import { toast } from "./toasts.js";

const NARROW = 860; // pixels: where the list of files has no room beside the diffs
const TWO_COLUMNS = 620;
const kept = (name) => { try { return localStorage.getItem(name) || ""; } catch { return ""; } };
const keep = (name, value) => { try { localStorage.setItem(name, value); } catch (error) { console.info("this browser keeps no settings", error); } };

function scrollerOf(element) {
  for (let one = element.parentElement; one && one !== document.body; one = one.parentElement) {
    if (/(auto|scroll)/.test(getComputedStyle(one).overflowY)) return one;
  }
  return document.scrollingElement;
}

class Review extends HTMLElement {
  connectedCallback() {
    if (this.wired) { this.begin(); return; }
    this.wired = true;
    this.besides = kept("review-view") === "split"; // what was chosen; there has to be room for it
    this.wide = true;
    this.space = !(this.dataset.w || kept("review-space") === "ignore");
    this.files = new Files(this);
    this.lines = new Lines(this);
    this.remarks = new Remarks(this);
    this.listen();
    this.begin();
  }

  disconnectedCallback() {
    this.files?.stop();
    this.unscroll?.();
  }

  get range() {
    const { begin: since, end: until } = this.dataset;
    return Object.fromEntries(Object.entries({ since, until }).filter(([, value]) => value));
  }

  get split() { return this.besides && this.wide; }
  get tree() { return this.querySelector(".review-tree"); }

  begin() {
    if (this.dataset.plain !== undefined) return;
    this.scroller = scrollerOf(this);
    this.measure();
    const target = this.scroller === document.scrollingElement ? document : this.scroller;
    const scrolled = () => { this.pending ||= requestAnimationFrame(() => { this.pending = 0; this.follow(); }); };
    target.addEventListener("scroll", scrolled, { passive: true });
    const resized = new ResizeObserver(() => this.measure());
    resized.observe(this);
    this.unscroll = () => { target.removeEventListener("scroll", scrolled); resized.disconnect(); };
    this.show();
    this.files.watch(this.scroller);
    for (const section of this.files.sections.slice(0, 2)) this.files.want(section);
    library();
    this.remarks.place();
    this.remarks.tally();
    if (!this.begun) this.goto(location.hash);
    this.begun = true;
    this.follow();
  }

  // How much of the scrolled area the page's own bar covers.
  measure() {
    const bar = this.scroller === document.scrollingElement && document.querySelector("header.top");
    const covered = bar && getComputedStyle(bar).position === "sticky" ? bar.offsetHeight : 0;
    const tabs = this.closest(".ticket")?.querySelector(".tabs");
    const more = tabs && getComputedStyle(tabs).position === "sticky" ? tabs.offsetHeight : 0;
    this.stick = covered + more;
    const wide = !this.clientWidth || this.clientWidth >= TWO_COLUMNS;
    if (wide !== this.wide) { this.wide = wide; if (this.besides) this.files.redraw(); }
    const padding = parseFloat(getComputedStyle(this.scroller).scrollPaddingTop) || 0;
    this.style.setProperty("--stick", `${this.stick}px`);
    this.style.setProperty("--away", `${Math.max(0, this.stick - padding)}px`); // the scroller keeps its own distance
    this.style.setProperty("--seen", `${this.scroller.clientHeight}px`);
  }

  show() {
    for (const view of ["unified", "split"]) this.querySelector(`[data-act=${view}]`)?.setAttribute("aria-pressed", String(this.besides === (view === "split")));
    const space = this.querySelector("[data-act=space]");
    if (space) space.textContent = this.space ? "Ignore space" : "Show space";
    const tree = kept("review-tree") || (this.clientWidth < NARROW ? "closed" : "open");
    this.fold(tree === "closed", { remember: false });
  }

  listen() {
    this.addEventListener("click", (event) => this.click(event));
    this.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse") this.lines.press(event); });
    this.addEventListener("pointermove", (event) => this.lines.over(event));
    this.addEventListener("pointerup", () => { const chosen = this.lines.release(); if (chosen) this.remarks.open(chosen); });
    this.addEventListener("input", ({ target }) => { if (target.dataset.act === "filter") filter(this.tree, target.value); });
    this.addEventListener("submit", (event) => this.submit(event));
    this.addEventListener("drawn", ({ detail }) => { this.remarks.place(detail); this.lines.paint(); });
    this.addEventListener("htmx:finally:request", ({ target, detail: { ctx } }) => {
      if (ctx.response?.status < 400 && target.matches?.(".remark-form, .remark form")) this.remarks.sent(target);
    });
  }

  // Comments came or went.
  renew() {
    clearTimeout(this.renewing);
    this.renewing = setTimeout(() => { if (this.isConnected) { this.remarks.place(); this.remarks.tally(); } });
  }

  click(event) {
    const { target } = event;
    const file = target.closest(".tree-file");
    if (file) { event.preventDefault(); this.jump(this.querySelector(`#f-${file.dataset.file}`), { focus: true }); return; }
    const going = target.closest("[data-goto]");
    if (going) { event.preventDefault(); going.closest("details")?.removeAttribute("open"); this.remarks.show(going.dataset.goto); return; }
    const cell = target.closest("td.no[data-n]");
    if (cell && event.pointerType !== "mouse" && event.detail) { this.tap(cell); return; }
    const act = target.closest("[data-act]");
    if (act && this.acts[act.dataset.act]) this.acts[act.dataset.act].call(this, act, event);
  }

  acts = {
    unified() { this.look(false); },
    split() { this.look(true); },
    space(button, event) { event.preventDefault(); this.toggleSpace(); },
    tree() { this.fold(!this.classList.contains("no-tree")); },
    fold(button) { this.toggle(button.closest(".file")); },
    show(button) { this.files.want(button.closest(".file"), true); },
    "remark-file"(button) { this.remarks.open({ section: button.closest(".file") }); },
    suggest(button) { this.remarks.suggest(button.closest("form")); },
    dismiss(button) { this.remarks.dismiss(button.closest("form")); },
    "whole-line"(button) { this.whole(button); },
    "more-down"(button) { this.more(button, "down"); },
    "more-up"(button) { this.more(button, "up"); },
    "more-all"(button) { this.more(button, "all"); },
  };

  // A finger on a number: the line, or all to it from the one before.
  tap(cell) {
    const section = cell.closest(".file");
    const side = cell.classList.contains("old") ? "old" : "new";
    this.lines.choose(section, side, Number(cell.dataset.n));
    this.remarks.open(this.lines.chosen);
  }

  async more(button, how) {
    const row = button.closest("tr");
    button.setAttribute("aria-busy", "true");
    try {
      const first = await gaps.show(this.files, row, how);
      if (first && !row.contains(document.activeElement)) this.lines.focus(first);
      this.remarks.place(row.closest(".file"));
    } catch (error) {
      toast("The lines could not be shown", { error: true, hint: error.message });
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  async whole(button) {
    const [section, row] = [button.closest(".file"), button.closest("tr")];
    button.setAttribute("aria-busy", "true");
    try {
      await this.files.whole(section, button.closest("td").line);
      this.lines.focus(row);
    } catch (error) {
      button.removeAttribute("aria-busy");
      toast("The line could not be shown", { error: true, hint: error.message });
    }
  }

  look(split) {
    if (this.besides === split) return;
    this.besides = split;
    keep("review-view", split ? "split" : "unified");
    this.show();
    this.lines.clear();
    this.files.redraw();
  }

  toggleSpace() {
    this.space = !this.space;
    keep("review-space", this.space ? "" : "ignore");
    this.show();
    this.files.reload();
  }

  // The list of files: shut or open.
  fold(shut, { remember = true } = {}) {
    this.classList.toggle("no-tree", shut);
    this.querySelector("[data-act=tree]")?.setAttribute("aria-expanded", String(!shut));
    if (remember) keep("review-tree", shut ? "closed" : "open");
  }

  unfold(section) { if (section.classList.contains("folded")) this.toggle(section); }

  toggle(section) {
    const folded = section.classList.toggle("folded");
    section.querySelector("[data-act=fold]")?.setAttribute("aria-expanded", String(!folded));
    if (!folded) this.files.want(section);
  }

  // The file at the top of what is seen.
  get current() {
    const all = this.files.sections;
    const edge = (this.scroller === document.scrollingElement ? 0 : this.scroller.getBoundingClientRect().top) + this.stick + 60;
    let [low, high] = [0, all.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (all[middle].getBoundingClientRect().top <= edge) low = middle; else high = middle - 1;
    }
    return all[low] || null;
  }

  // The head of a file that has the focus, as after going to that file.
  get focusedHead() {
    const head = document.activeElement?.closest?.(".file h3");
    return this.contains(head) ? head : null;
  }

  follow() { if (this.tree && this.isConnected) mark(this.tree, this.current); }

  jump(section, { focus = false } = {}) {
    if (!section) return;
    section.scrollIntoView({ block: "start", behavior: "instant" });
    this.files.want(section);
    mark(this.tree, section);
    if (focus) this.focusHead(section);
  }

  focusHead(section) {
    const head = section.querySelector("h3");
    head.tabIndex = -1;
    head.focus({ preventScroll: true });
  }

  // #f-<file>, #f-<file>-R12, #remark-3
  async goto(hash) {
    const [, file, side, line] = /^#f-([0-9a-f]+)(?:-([LR])(\d+))?$/.exec(hash) || [];
    if (/^#(remark|draft)-\d+$/.test(hash)) { await this.remarks.show(hash.slice(1)); return; }
    const section = file && this.querySelector(`#f-${file}`);
    if (!section) return;
    this.unfold(section);
    this.jump(section);
    if (!line) return;
    await this.files.want(section, true);
    const where = side === "L" ? "old" : "new";
    if (!this.lines.find(file, where, line)) await gaps.reveal(this.files, section, where, Number(line));
    const row = this.lines.find(file, where, line);
    if (row) { this.lines.choose(section, where, Number(line)); this.lines.focus(row, { centre: true }); }
  }

  submit(event) {
    const form = event.target;
    if (form.matches(".viewed-form")) { event.preventDefault(); this.view(form.closest(".file")); }
  }

  // Viewed, or not; a viewed file is folded, and the next one is gone to.
  async view(section, { onward = false } = {}) {
    const form = section.querySelector(".viewed-form");
    if (!form) return;
    const button = form.querySelector("button");
    const on = button.getAttribute("aria-pressed") !== "true";
    const body = new URLSearchParams(new FormData(form));
    body.set("viewed", on ? "1" : "0");
    this.viewing(section, on);
    if (on && onward) this.step(1);
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { "HX-Request": "true", Accept: "text/html" } });
      if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
    } catch (error) {
      this.viewing(section, !on);
      toast("The mark was not kept", { error: true, hint: error.message });
    }
  }

  viewing(section, on) {
    const button = section.querySelector(".viewed-form button");
    button.setAttribute("aria-pressed", String(on));
    section.querySelector("[data-changed]")?.remove();
    section.toggleAttribute("data-viewed", on);
    if (on !== section.classList.contains("folded")) this.toggle(section);
    markViewed(this.tree, section, on);
    const count = this.querySelectorAll(".file[data-viewed]").length;
    this.querySelector("[data-viewed]:not(.file)").textContent = count;
    this.querySelector("#part-progress progress").value = count;
  }

  // From the file that has the focus, while what has it is in sight: a line in its midst may have another file above it there, and
  // what is drawn above may still push it about.
  step(by) {
    const all = this.files.sections;
    const focused = document.activeElement;
    const own = this.contains(focused) && focused.closest(".file");
    const { top, bottom } = focused.getBoundingClientRect();
    const from = own && bottom > 0 && top < innerHeight ? own : this.current;
    const next = all[all.indexOf(from) + by];
    this.jump(next || (by > 0 ? all.at(-1) : all[0]), { focus: true });
  }

  verdict(name) {
    const form = this.querySelector(`#verdict-${name}`);
    if (!form) return;
    form.open = true;
    (form.querySelector("textarea, input:not([type=hidden])") || form.querySelector("form button")).focus();
  }
}

const reviews = () => document.querySelectorAll("change-review");
document.addEventListener("htmx:after:swap", () => { for (const one of reviews()) one.renew(); });
document.addEventListener("refreshed", ({ detail }) => { for (const one of reviews()) if (one.contains(detail)) one.renew(); });
customElements.define("change-review", Review);
register();
