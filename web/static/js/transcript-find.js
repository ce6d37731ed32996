// Finding in a transcript: words by the server's search, and errors; both are places in the tree of sessions, gone through in order.
const MARKS = typeof Highlight === "function" && CSS.highlights ? { hit: new Highlight(), now: new Highlight() } : null;
if (MARKS) { CSS.highlights.set("transcript-hit", MARKS.hit); CSS.highlights.set("transcript-now", MARKS.now); MARKS.now.priority = 1; }
const TYPING_MS = 220;
const SETTLING_MS = 1000; // after a jump, while what comes near may still push its place about

function pattern(words) {
  const escaped = words.trim().split(/\s+/).map((word) => word.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(escaped.join("\\s+"), "giu");
}

// What is read in one go: colours and marks within it cut its text, and no words.
const BLOCKS = "pre, p, li, td, th, h3, h4, h5, h6, figcaption, .line-of, div";
const MOST_MARKS = 2000; // of one entry

// Where the words stand in an element.
export function ranges(element, words) {
  const wanted = pattern(words);
  const found = [];
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node;) {
    const block = node.parentElement.closest(BLOCKS);
    const nodes = [];
    let all = "";
    for (; node && node.parentElement.closest(BLOCKS) === block; node = texts.nextNode()) { nodes.push([all.length, node]); all += node.data; }
    let at = 0;
    const place = (index, put) => {
      while (at + 1 < nodes.length && nodes[at + 1][0] <= index) at += 1;
      put(nodes[at][1], index - nodes[at][0]);
    };
    for (const { index, 0: text } of all.matchAll(wanted)) {
      if (found.length >= MOST_MARKS) return found;
      const range = document.createRange();
      place(index, (within, offset) => range.setStart(within, offset));
      place(index + text.length - 1, (within, offset) => range.setEnd(within, offset + 1));
      found.push(range);
    }
  }
  return found;
}

export class Places {
  constructor(view) {
    this.view = view;
    this.all = []; // [session, seq], in reading order
    this.at = -1;
    this.settled = 0; // until then the reader is where the last jump went, in sight or not
  }

  set(all) {
    const now = this.all[this.at];
    this.all = all;
    this.at = now ? all.findIndex(([name, seq]) => name === now[0] && seq === now[1]) : -1;
  }

  // The next one from where the reader is: from the one gone to last while that is in sight, else from what is.
  async go(step) {
    if (!this.all.length) return null;
    const here = this.all[this.at];
    const article = here && this.view.lists.get(here[0])?.article(here[1]);
    if (here && (performance.now() < this.settled || (article && this.inSight(article)))) this.at = (this.at + step + this.all.length) % this.all.length;
    else this.at = this.near(step);
    const [name, seq] = this.all[this.at];
    this.settled = Infinity;
    try { return await this.view.goTo(name, seq); } finally { this.settled = performance.now() + SETTLING_MS; }
  }

  inSight(article) {
    const { top, bottom } = article.getBoundingClientRect();
    const edges = this.view.scroller.edges();
    return bottom > edges.top && top < edges.bottom;
  }

  near(step) {
    const first = this.view.scroller.first();
    const path = first ? this.view.path(this.view.listOf(first).name, Number(first.dataset.seq)) : [];
    const after = this.all.findIndex(([name, seq]) => compare(this.view.path(name, seq), path) >= 0);
    if (step > 0) return after < 0 ? 0 : after;
    return ((after < 0 ? this.all.length : after) - 1 + this.all.length) % this.all.length;
  }
}

function compare(one, other) {
  for (let at = 0; at < Math.max(one.length, other.length); at += 1) {
    const difference = (one[at] ?? -1) - (other[at] ?? -1);
    if (difference) return difference;
  }
  return 0;
}

export class Find {
  constructor(view, form) {
    Object.assign(this, { view, form, words: "", timer: 0, asked: 0, marks: new Map() });
    this.input = form.querySelector("input[type=search]");
    this.told = form.querySelector(".found");
    this.hits = new Places(view);
    this.input.addEventListener("input", () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.search(), TYPING_MS); });
    form.addEventListener("submit", (event) => { event.preventDefault(); this.enter(1); });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.shiftKey) { event.preventDefault(); this.enter(-1); }
      if (event.key === "Escape" && this.words) { event.preventDefault(); event.stopPropagation(); this.clear(); }
    });
  }

  async enter(step) {
    clearTimeout(this.timer);
    if (this.input.value.trim() !== this.words) await this.search();
    await this.go(step);
  }

  clear() {
    clearTimeout(this.timer);
    this.input.value = "";
    return this.search();
  }

  async search() {
    const words = this.input.value.trim();
    const turn = (this.asked += 1);
    this.form.classList.toggle("busy", Boolean(words));
    if (words !== this.words) this.forget();
    this.words = words;
    const outline = words ? await this.view.outline({ q: words }) : null;
    if (turn !== this.asked) return;
    this.form.classList.remove("busy");
    this.take(outline?.hits);
    this.view.address();
  }

  take(hits) {
    this.hits.set((hits || []).filter(([name]) => this.view.within(name)));
    for (const article of this.view.querySelectorAll("article.item")) this.mark(article);
    this.tell();
  }

  tell() {
    const { all, at } = this.hits;
    this.form.querySelector(".finding").hidden = !all.length;
    this.told.textContent = !this.words ? "" : !all.length ? "No hit" : at < 0 ? `${all.length.toLocaleString()} ${all.length === 1 ? "entry" : "entries"}` : `${at + 1} of ${all.length.toLocaleString()}`;
  }

  async go(step) {
    const article = await this.hits.go(step);
    this.tell();
    if (article) await this.show(article);
  }

  // Unfolds what holds the words, takes what was left out of long texts where they stand in that, and brings them into sight.
  async show(article) {
    let found = this.mark(article, { all: true });
    if (!found.length && article.querySelector(".left-out")) {
      article = await this.view.whole(article);
      found = this.mark(article, { all: true });
    }
    const fold = article.querySelector(":scope > details.flap");
    if (fold && !fold.open && (!found.length || found.every((range) => this.hidden(range)))) this.view.open.unfold(fold);
    if (MARKS) { MARKS.now.clear(); for (const range of found) MARKS.now.add(range); }
    const box = found.find((range) => !this.hidden(range))?.getBoundingClientRect();
    if (box?.height) this.view.scroller.reveal(box);
  }

  hidden(range) {
    const at = range.startContainer.parentElement;
    if (!at.checkVisibility()) return true;
    if (!at.closest("details.flap:not([open])")) return false;
    const line = at.closest("summary > .line-of"); // of which two lines are shown
    return !line || range.getBoundingClientRect().bottom > line.getBoundingClientRect().bottom + 1;
  }

  // Marks the words in an entry that has come into the page; gives where they stand. A single letter stands everywhere, and is
  // marked only in the entry that was gone to.
  mark(article, { all = false } = {}) {
    this.unmark(article);
    if (!MARKS || !this.words || (!all && /^[\x20-\x7e]$/.test(this.words))) return [];
    const own = [...article.children].filter((part) => !part.matches(".child, .handles"));
    const found = own.flatMap((part) => ranges(part, this.words));
    for (const range of found) MARKS.hit.add(range);
    if (found.length) this.marks.set(article, found);
    return found;
  }

  unmark(article) {
    for (const range of this.marks.get(article) || []) { MARKS.hit.delete(range); MARKS.now.delete(range); }
    this.marks.delete(article);
  }

  forget() {
    for (const article of [...this.marks.keys()]) this.unmark(article);
    this.hits.all = [];
    this.hits.at = -1;
  }
}
