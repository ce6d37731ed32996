// The files of a review: each is fetched and drawn when it comes near, the first ones at once.
import { fetchLines, gaps } from "./review-gaps.js";
import { colourRows, highlighter, languageOf } from "./review-colour.js";
import { library, mark, note, pieces, rows, showLong, table } from "./review-draw.js";

const NEAR = 1200; // pixels
const AT_ONCE = 3; // files that are fetched at a time
const ROW = 20;
const LONGEST = 200_000; // characters of a line that is shown whole

// Fetch, draw and redraw. The element `root` is told by `drawn` (detail: the file's section) when all lines of one stand.
export class Files {
  constructor(root) {
    this.root = root;
    this.known = new WeakMap(); // section -> { state, diff, drawing }
    this.queue = [];
    this.running = 0;
    this.drawing = Promise.resolve();
  }

  get sections() { return [...this.root.querySelectorAll(".file")]; }
  of(section) {
    if (!this.known.has(section)) this.known.set(section, { state: "new", diff: null, version: 0, index: none() });
    return this.known.get(section);
  }

  watch(scroller) {
    this.observer?.disconnect();
    const options = { root: scroller === document.scrollingElement ? null : scroller, rootMargin: `${NEAR}px 0px` };
    this.observer = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) { target.near = isIntersecting; if (isIntersecting) this.want(target); }
    }, options);
    for (const section of this.sections) {
      const body = section.querySelector(".file-body");
      const lines = Number(section.dataset.lines);
      if (!section.dataset.wait && this.of(section).state === "new") body.style.minHeight = `${Math.min(lines + 4, 400) * ROW}px`;
      this.observer.observe(section);
    }
  }

  stop() { this.observer?.disconnect(); }

  // Fetch and draw it, where it is not drawn; `force` also where it waits to be asked for.
  want(section, force = false) {
    const file = this.of(section);
    if (section.dataset.wait && !force) { this.offer(section); return file.done; }
    if (section.classList.contains("folded") && !force) return null;
    if (file.state === "stale") { file.state = "fetched"; file.done = this.draw(section); return file.done; }
    if (file.state !== "new" && file.state !== "failed") return file.done;
    delete section.dataset.wait;
    file.state = "waiting";
    file.done = new Promise((done) => { this.queue.push({ section, done }); });
    this.next();
    return file.done;
  }

  next() {
    while (this.running < AT_ONCE && this.queue.length) {
      // What is on the screen comes before what was scrolled past.
      const at = Math.max(0, this.queue.findIndex(({ section }) => section.near));
      const [{ section, done }] = this.queue.splice(at, 1);
      this.running += 1;
      this.load(section).finally(() => { this.running -= 1; done(); this.next(); });
    }
  }

  async load(section) {
    const file = this.of(section);
    const body = section.querySelector(".file-body");
    const { space } = this.root;
    const query = new URLSearchParams({ file: section.dataset.file, ...this.root.range, ...(space ? {} : { w: "1" }) });
    body.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(`/api/v1/tickets/${this.root.dataset.key}/diff/file?${query}`);
      if (!answer.ok) throw new Error((await answer.json()).error.message);
      file.diff = await answer.json();
      if (space !== this.root.space) { await this.load(section); return; } // chosen otherwise meanwhile
      file.state = "fetched";
      await this.draw(section);
    } catch (error) {
      file.state = "failed";
      body.replaceChildren(this.failed(section, error));
    } finally {
      body.removeAttribute("aria-busy");
    }
  }

  failed(section, error) {
    const told = document.createElement("p");
    told.className = "file-note";
    told.setAttribute("role", "alert");
    const again = document.createElement("button");
    again.type = "button";
    again.className = "small";
    again.textContent = "Try again";
    again.addEventListener("click", () => this.want(section, true));
    told.append(`It could not be shown: ${error.message}. `, again);
    return told;
  }

  // Instead of a large file's lines: a button.
  offer(section) {
    const body = section.querySelector(".file-body");
    if (body.querySelector("[data-act=show]")) return;
    const told = document.createElement("p");
    told.className = "file-note";
    const show = document.createElement("button");
    Object.assign(show, { type: "button", className: "small", textContent: "Show it" });
    show.dataset.act = "show";
    told.append(`Not shown at first: ${section.dataset.wait}. `, show);
    body.replaceChildren(told);
  }

  // One file at a time, in pieces between which the page stays usable.
  draw(section) {
    const file = this.of(section);
    file.version += 1;
    const { version } = file;
    const run = this.drawing.then(() => this.put(section, file, version));
    this.drawing = run.catch((error) => console.error(error));
    return run;
  }

  async put(section, file, version) {
    const { diff } = file;
    const body = section.querySelector(".file-body");
    const { split } = this.root;
    const Diff2HtmlUI = split ? await library() : null;
    const index = none();
    const fresh = [];
    for (const text of diff.notes) fresh.push(Object.assign(note(text), { className: "file-note" }));
    let shown = null;
    let swapped = false;
    const swap = () => { if (!swapped) { section.forms = [...(section.forms || []), ...body.querySelectorAll(".remark-form")]; body.replaceChildren(...fresh); body.style.minHeight = ""; file.index = index; swapped = true; } };
    for (const piece of pieces(diff.hunks)) {
      if (file.version !== version) return;
      const holder = document.createElement("div");
      holder.className = "piece";
      const made = table(split, piece.first && piece.hunk === 0 ? `Diff of ${section.dataset.path}` : "");
      const tbody = made.tBodies[0];
      if (piece.first) tbody.append(gaps.row(this, section, piece.hunk));
      tbody.append(rows(Diff2HtmlUI, piece.lines, split, index));
      holder.append(made);
      holder.lines = piece.lines.length;
      holder.style.containIntrinsicBlockSize = `auto ${(piece.lines.length + 1) * ROW}px`;
      if (swapped) body.append(holder); else fresh.push(holder);
      this.finish(section, holder, piece.lines, file, version);
      if (!swapped) { swap(); shown = performance.now(); } else if (performance.now() - shown > 40) { await pause(); shown = performance.now(); }
    }
    swap();
    const last = gaps.last(this, section);
    if (last) body.append(last);
    if (diff.left) body.append(Object.assign(note(`${diff.left.toLocaleString()} more lines: dispatcher diff ${this.root.dataset.key}`), { className: "file-note" }));
    file.state = "drawn";
    section.dataset.drawn = "";
    this.root.dispatchEvent(new CustomEvent("drawn", { detail: section }));
  }

  // What differs within lines, and colours, come when the browser has nothing else to do.
  finish(section, holder, lines, file, version) {
    idle(async () => {
      if (file.version !== version || !holder.isConnected) return;
      const Diff2HtmlUI = await library();
      const drawn = [...holder.querySelectorAll("tr.ln")];
      if (holder.querySelector("table.unified")) mark(Diff2HtmlUI, lines, drawn);
      const hljs = highlighter(Diff2HtmlUI);
      const language = languageOf(hljs, section.dataset.path);
      if (language) colourRows(hljs, language, drawn);
    });
  }

  // A long line whole, and the one that it stands for.
  async whole(section, line) {
    const wanted = [line, line.other].filter((one) => one?.cut);
    for (const one of wanted) {
      const [side, at] = one[0] === "del" ? ["old", one[1]] : ["new", one[2]];
      const [text] = await fetchLines(this, section, at, at, side);
      one[3] = text.slice(0, LONGEST) + (text.length > LONGEST ? ` … ${(text.length - LONGEST).toLocaleString()} more characters: dispatcher diff ${this.root.dataset.key}` : "");
      one.cut = false;
    }
    for (const cell of section.querySelectorAll("td.code")) if (wanted.includes(cell.line)) showLong(cell);
  }

  // Draw all again that is drawn, in another view: what is near at once, the rest when it comes near.
  redraw() {
    for (const section of this.sections) {
      const file = this.of(section);
      if (file.state !== "drawn" && file.state !== "stale") continue;
      file.version += 1;
      file.state = "stale";
      if (section.near) this.want(section, true);
      else section.querySelector(".file-body").style.minHeight = `${section.querySelector(".file-body").offsetHeight}px`;
    }
  }

  // Fetch all again that was fetched.
  reload() {
    for (const section of this.sections) {
      const file = this.of(section);
      if (file.state === "new" || file.state === "waiting") continue;
      file.version += 1;
      file.state = "new";
      if (section.near) this.want(section, true);
    }
  }
}

const none = () => ({ old: new Map(), new: new Map() });

const pause = () => (globalThis.scheduler?.yield ? scheduler.yield() : new Promise((done) => { setTimeout(done); }));
const idle = (work) => (globalThis.requestIdleCallback ? requestIdleCallback(work, { timeout: 1500 }) : setTimeout(work, 30));
