// What a running transcript is told: new entries are appended, changed ones morphed in place, and the run's record, when it is read
// back at the end, takes the place of what was provisional without moving the reader.
import { say } from "./say.js";

const GATHER_MS = 60;
const OUTLINE_MS = 1500; // between two looks at counts and errors
const SAID_MS = 15_000;
const ENDED = /^run\.(succeeded|no_changes|blocked|failed|timed_out|stalled|cancelled|lost)$/;

export class Live {
  constructor(view) {
    Object.assign(this, { view, waiting: new Map(), timer: 0, outlining: 0, behind: false, said: 0, errors: null, held: new Map(), work: Promise.resolve() });
    const { signal } = view.stop;
    document.addEventListener("live", ({ detail }) => this.heard(detail), { signal });
    document.addEventListener("live:behind", () => this.queue(() => this.reread()), { signal });
    document.addEventListener("selectionchange", () => this.released(), { signal });
    document.addEventListener("live:status", ({ detail }) => { if (detail === "open") view.pump(); }, { signal });
  }

  heard({ kind, run, ticket, data }) {
    const { key, run: ours } = this.view.dataset;
    if (kind === "run.queued" && ticket === key && String(run) !== ours) this.newer(run, data.number);
    if (String(run) !== ours) return;
    if (kind === "run.items") this.items(data.session || "", data.seqs);
    else if (kind === "run.session") this.queue(() => this.reread());
    else if (ENDED.test(kind)) this.queue(async () => { await this.view.refresh(); say(`Run ended: ${kind.slice(4).replace("_", " ")}.`); });
  }

  // One after the other: what is told of later counts later.
  queue(step) {
    this.work = this.work.then(() => this.view.isConnected && step()).catch((error) => { if (error.name !== "AbortError") console.warn("the transcript is behind", error); });
  }

  items(session, seqs) {
    const name = session && this.view.sessions && !this.view.sessions.has(session) ? null : session;
    if (name === null) { this.outlineSoon(0); return; }
    const waiting = this.waiting.get(name) || new Set();
    for (const seq of seqs) waiting.add(seq);
    this.waiting.set(name, waiting);
    this.timer ||= setTimeout(() => { this.timer = 0; this.queue(() => this.flush()); }, GATHER_MS);
  }

  // What nobody sees is not fetched; it is looked at anew when it is seen again. Neither does the record take the place of entries
  // while text in them is selected.
  get unseen() { return document.hidden || !this.view.checkVisibility(); }

  seen() {
    if (!this.behind || this.unseen) return;
    this.behind = false;
    this.queue(() => this.reread());
  }

  async flush() {
    if (this.unseen) { this.behind = true; this.waiting.clear(); return; }
    const all = [...this.waiting];
    this.waiting.clear();
    for (const [name, seqs] of all) {
      const list = this.view.lists.get(name);
      if (!list?.element.isConnected) continue;
      const filtered = this.view.dataset.show !== "all" || list.seqs;
      await this.change(list, [...seqs].filter((seq) => list.has(seq)));
      if (!filtered) list.grow(Math.max(...seqs) + 1);
    }
    this.view.none();
    this.view.follow.show();
    this.outlineSoon(OUTLINE_MS);
  }

  // What was put off while text was selected in it.
  released() {
    if (!this.held.size && !this.behind || this.view.selected()) return;
    const held = [...this.held];
    this.held.clear();
    this.seen();
    for (const [name, seqs] of held) this.items(name, seqs);
  }

  // Whether it is put off, since text is selected there that somebody is about to copy.
  holds(list, seq) {
    if (!this.view.selected(list.article(seq))) return false;
    this.held.set(list.name, (this.held.get(list.name) || new Set()).add(seq));
    return true;
  }

  // Entries that are in the page, as they are now.
  async change(list, seqs) {
    const there = seqs.filter((seq) => list.article(seq) && !this.holds(list, seq));
    if (!there.length) return;
    const part = await this.view.window(list.name, there.sort((one, other) => one - other).join(","));
    for (const fresh of [...part.children]) {
      const old = list.article(Number(fresh.dataset.seq));
      if (!old || this.holds(list, Number(fresh.dataset.seq))) continue;
      for (const name of ["aria-posinset", "aria-setsize", "tabindex", "class"]) {
        if (name === "class" ? old.classList.contains("arrived") : old.hasAttribute(name)) {
          if (name === "class") fresh.classList.add("arrived"); else fresh.setAttribute(name, old.getAttribute(name));
        }
      }
      await htmx.swap({ sourceElement: old, target: old, text: fresh.outerHTML, swap: "outerMorph" });
      this.view.find.mark(list.article(Number(fresh.dataset.seq)));
    }
  }

  outlineSoon(pause) {
    if (this.outlining) return;
    this.outlining = setTimeout(() => { this.outlining = 0; this.queue(() => this.look()); }, pause);
  }

  async look() {
    const { view } = this;
    if (this.unseen) { this.behind = true; return; }
    const before = this.errors ?? view.errors.all.length;
    await view.refresh();
    this.errors = view.errors.all.length;
    if (this.errors > before && Date.now() - this.said > SAID_MS) { this.said = Date.now(); say(this.errors - before === 1 ? "One new error in the transcript." : `${this.errors - before} new errors in the transcript.`); }
    for (const list of view.lists.values()) {
      const model = view.sessions.get(list.name);
      if (!model || !list.element.isConnected) continue;
      if (model.seqs && list.seqs && model.count > list.count) this.longer(list, model);
      else if (!model.seqs && !list.seqs) list.grow(model.begin + model.count);
    }
    for (const { name, parent, call } of view.sessions.values()) {
      const list = parent === null || call === null ? null : view.lists.get(parent);
      const article = list?.article(call);
      if (article && !article.querySelector(`details.child[data-session="${CSS.escape(name)}"]`)) await this.change(list, [call]);
    }
  }

  // More of what a filter lets through.
  longer(list, model) {
    const last = list.chunks.length - 1;
    list.take(model);
    list.extend();
    if (last >= 0 && list.chunks[last].near) list.load(last).catch(() => {});
    this.view.follow.show();
  }

  async reread() {
    if (this.unseen || this.view.selected()) { this.behind = true; return; }
    await this.view.refresh({ rebuild: true, renumbered: true });
  }

  newer(run, number) {
    const line = this.view.querySelector(".newer");
    const link = document.createElement("a");
    link.href = `${this.view.base}?run=${run}`;
    link.textContent = "Open its transcript";
    line.replaceChildren(`Run ${number} has been queued. `, link);
    line.hidden = false;
  }
}
