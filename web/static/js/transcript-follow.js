// Follow mode: while the run goes on and the reader is at the end, the end stays in sight. Scrolling up lets go of it, and so does
// selecting text.
const NEAR_END = 48; // pixels

export class Follow {
  constructor(view, button) {
    Object.assign(this, { view, button, on: false, seen: view.root.count, last: view.scroller.top, height: view.scroller.height });
    this.stop = new AbortController();
    const { signal } = this.stop;
    view.scroller.source.addEventListener("scroll", () => this.scrolled(), { passive: true, signal });
    button.addEventListener("click", () => this.toggle(), { signal });
    // What is being selected must not run away from below the pointer.
    document.addEventListener("selectionchange", () => { if (this.on && view.selected()) this.set(false); }, { signal });
    // Entries that are fetched, unfolded or wrapped anew make the page higher.
    this.sizes = new ResizeObserver(() => this.keep());
    this.sizes.observe(view);
  }

  end() { this.stop.abort(); this.sizes.disconnect(); }

  get live() { return this.view.hasAttribute("data-live"); }
  get atEnd() { return this.view.scroller.left <= NEAR_END && this.view.root.chunks.at(-1)?.have !== 0; }

  scrolled() {
    if (!this.view.checkVisibility()) return;
    const { top, height } = this.view.scroller;
    // A page that has become lower moves up by itself; else it was the reader.
    const up = top < this.last - 1 && height >= this.height - 1;
    [this.last, this.height] = [top, height];
    if (this.on && up && this.view.scroller.left > NEAR_END) this.set(false);
    else if (!this.on && this.live && !up && this.atEnd && !this.view.selected()) this.set(true);
    else if (!this.on && this.atEnd) this.noticed();
  }

  keep() {
    if (!this.on || !this.view.checkVisibility()) return;
    if (this.view.scroller.left > 0) this.view.scroller.toEnd();
    [this.last, this.height] = [this.view.scroller.top, this.view.scroller.height];
  }

  noticed() {
    if (this.seen === this.view.root.count) return;
    this.seen = this.view.root.count;
    this.show();
  }

  set(on) {
    this.on = on && this.live;
    this.seen = this.view.root.count;
    this.show();
    this.keep();
  }

  toggle() {
    if (this.on) { this.set(false); return; }
    this.toEnd();
  }

  toEnd() {
    const { root, scroller } = this.view;
    const last = root.chunks.length - 1;
    scroller.toEnd();
    if (last >= 0) root.load(last).then(() => { if (this.on || !this.live) scroller.toEnd(); }, () => {});
    if (this.live) this.set(true); else this.noticed();
  }

  // Called when entries have come, or the run has ended.
  show() {
    const { button, on, live } = this;
    const fresh = Math.max(0, this.view.root.count - this.seen);
    if (!live && this.on) this.on = false;
    button.hidden = !live && !fresh;
    button.classList.toggle("following", on && live);
    const words = on && live ? "Following" : fresh ? `Jump to the newest (${fresh.toLocaleString()} new)` : "Jump to the newest";
    if (button.textContent !== words) button.textContent = words;
    button.title = on ? "New entries are kept in sight; scroll up or select text to let go (f)" : "Go to the end and follow (f)";
    button.setAttribute("aria-pressed", String(on && live));
  }
}
