// The entries of one session, of which only what is near the reader stands in the page: chunks of CHUNK entries, each a box that
// is empty and as high as it will be, or was, until the reader comes near.
export const CHUNK = 50;
const KEPT = 8; // chunks that stay in the page though the reader has left them
const AT_ONCE = 2;
const FIRST_GUESS = 38; // pixels of an entry
const HIGHEST = 12_000_000; // pixels: browsers lay out no more than some 16 to 33 million

export class List {
  // `model` is { begin, count, seqs }: the `seq` of each entry, or null where they run from `begin` without gaps.
  constructor(view, name, element, model) {
    Object.assign(this, { view, name, element, chunks: [], measured: { height: 0, items: 0 } });
    this.take(model);
  }

  take({ begin, count, seqs }) {
    Object.assign(this, { begin, count, seqs });
  }

  seqAt(index) { return this.seqs ? this.seqs[index] : this.begin + index; }

  // How many entries come before that `seq`.
  indexOf(seq) {
    if (!this.seqs) return Math.min(this.count, Math.max(0, seq - this.begin));
    let [low, high] = [0, this.seqs.length];
    while (low < high) { const middle = (low + high) >> 1; if (this.seqs[middle] < seq) low = middle + 1; else high = middle; }
    return low;
  }

  has(seq) {
    const index = this.indexOf(seq);
    return index < this.count && this.seqAt(index) === seq;
  }

  size(n) { return Math.min(CHUNK, this.count - n * CHUNK); }

  guess() {
    const { height, items } = this.measured;
    const one = items ? height / items : FIRST_GUESS;
    return Math.min(one, HIGHEST / Math.max(1, this.count));
  }

  // Takes over what the server has put in, the first of it at `index`, and makes boxes for the rest.
  adopt(index) {
    const first = index / CHUNK;
    const given = [...this.element.children];
    for (const [at, element] of given.entries()) {
      this.chunks[first + at] = { element, have: element.children.length, busy: null, near: true };
      this.view.dress(element, this, first + at);
    }
    this.measure();
    const before = document.createDocumentFragment();
    for (let n = 0; n < first; n += 1) before.append(this.box(n));
    this.element.prepend(before);
    this.extend();
    for (const [n, { element }] of this.chunks.entries()) if (n < first + given.length) this.view.observe(element, this, n);
  }

  // An empty box for the chunk.
  box(n) {
    const element = document.createElement("div");
    this.chunks[n] = { element, have: 0, busy: null, near: false };
    this.empty(n, this.size(n) * this.guess());
    return element;
  }

  empty(n, height) {
    const chunk = this.chunks[n];
    chunk.element.replaceChildren();
    chunk.element.className = "chunk chunk-empty";
    chunk.element.style.height = `${height}px`;
    chunk.have = 0;
  }

  // Boxes for what has come at the end.
  extend() {
    const wanted = Math.ceil(this.count / CHUNK);
    const added = document.createDocumentFragment();
    const from = this.chunks.length;
    for (let n = from; n < wanted; n += 1) added.append(this.box(n));
    this.element.append(added);
    for (let n = from; n < wanted; n += 1) this.view.observe(this.chunks[n].element, this, n);
  }

  measure() {
    const whole = this.chunks.filter((chunk) => chunk?.have);
    const items = whole.reduce((sum, chunk) => sum + chunk.have, 0);
    if (!items) return;
    const height = whole.reduce((sum, { element }) => sum + element.offsetHeight, 0);
    if (height) this.measured = { height, items };
  }

  seen(n, near) {
    if (this.chunks[n]) this.chunks[n].near = near;
  }

  // Fetches what is near, the middle first, and lets go what is far.
  pump() {
    const near = this.chunks.flatMap((chunk, n) => (chunk.near ? [n] : []));
    if (!near.length) return;
    const middle = near[near.length >> 1];
    const wanting = near.filter((n) => this.chunks[n].have < this.size(n) && !this.chunks[n].busy);
    wanting.sort((one, other) => Math.abs(one - middle) - Math.abs(other - middle));
    const busy = this.chunks.reduce((sum, chunk) => sum + Boolean(chunk.busy), 0);
    for (const n of wanting.slice(0, Math.max(0, AT_ONCE - busy))) this.load(n).then(() => this.view.pump(), () => {});
    const far = this.chunks.flatMap((chunk, n) => (chunk.have && !chunk.near && !this.held(chunk) ? [n] : []));
    far.sort((one, other) => Math.abs(other - middle) - Math.abs(one - middle));
    for (const n of far.slice(0, Math.max(0, far.length - KEPT))) this.release(n);
  }

  held({ element }) {
    return element.contains(document.activeElement) || element.contains(getSelection().anchorNode);
  }

  release(n) {
    const { element } = this.chunks[n];
    const height = element.getBoundingClientRect().height;
    this.view.undress(element);
    this.view.scroller.steady(() => this.empty(n, height));
  }

  // Has the chunk in the page; more of it where it has grown since.
  load(n) {
    const chunk = this.chunks[n];
    if (chunk.busy) return chunk.busy;
    if (chunk.have >= this.size(n)) return Promise.resolve();
    const fetched = async () => {
      while (chunk.have < this.size(n) && this.chunks[n] === chunk) {
        const [from, to] = [n * CHUNK + chunk.have, n * CHUNK + this.size(n)];
        const part = await this.fetch(from, to);
        if (this.chunks[n] !== chunk) return;
        this.view.scroller.steady(() => this.put(n, part));
        if (chunk.have < to - n * CHUNK) return; // the rest is not there any more
      }
    };
    chunk.busy = fetched().finally(() => { chunk.busy = null; });
    return chunk.busy;
  }

  async fetch(from, to) {
    const seqs = this.seqs ? this.seqs.slice(from, to).join(",") : `${this.begin + from}-${this.begin + to - 1}`;
    return this.view.window(this.name, seqs);
  }

  put(n, part) {
    const chunk = this.chunks[n];
    chunk.have += part.children.length;
    this.view.dress(part, this, n, chunk.have - part.children.length);
    chunk.element.append(part);
    // Browsers choose what they keep in its place with the styles of now and the boxes of before: not yet this one.
    chunk.element.className = "chunk chunk-fresh";
    chunk.element.style.height = "";
    requestAnimationFrame(() => requestAnimationFrame(() => chunk.element.classList.remove("chunk-fresh")));
    this.view.dressed(chunk.element);
    if (!this.measured.items) this.measure();
  }

  // The article of an entry, fetched where it is not in the page; null where the list has no such entry.
  async reach(seq) {
    if (!this.has(seq)) return null;
    const n = Math.floor(this.indexOf(seq) / CHUNK);
    this.seen(n, true); // it will be: until then it is not to be let go as one of those far away
    await this.load(n);
    return this.article(seq);
  }

  article(seq) {
    return document.getElementById(this.view.anchor(this.name, seq));
  }

  // What has come at the end of a list without gaps.
  grow(end) {
    if (this.seqs || end <= this.begin + this.count) return;
    if (!this.count) this.begin = Math.min(this.begin, end);
    const last = this.chunks.length - 1;
    this.count = end - this.begin;
    if (last >= 0 && !this.chunks[last].have && !this.chunks[last].busy) this.empty(last, this.size(last) * this.guess());
    this.extend();
    if (last >= 0 && this.chunks[last].near) this.load(last).catch(() => {});
  }

  // Other entries in the same place, with those around one there at once; gives the function that puts them in.
  async become(model, seq) {
    const next = new List(this.view, this.name, this.element, model);
    const middle = Math.floor(Math.min(next.indexOf(seq), Math.max(0, model.count - 1)) / CHUNK);
    const parts = new Map();
    for (const n of [middle, middle + 1, middle - 1]) {
      if (n >= 0 && n * CHUNK < model.count) parts.set(n, await next.fetch(n * CHUNK, n * CHUNK + next.size(n)));
    }
    return () => {
      for (const { element } of this.chunks) this.view.forget(element);
      this.element.replaceChildren();
      this.chunks = [];
      this.take(model);
      this.extend();
      for (const [n, part] of parts) this.put(n, part);
    };
  }
}
