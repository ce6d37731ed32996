// Where a transcript scrolls: the window, or the pane that it stands in; and how the reader's place is kept.
const KEEPS = CSS.supports("overflow-anchor", "auto");

function scrolls(element) {
  return /auto|scroll|overlay/.test(getComputedStyle(element).overflowY);
}

export function scrollerOf(element) {
  for (let at = element.parentElement; at && at !== document.body; at = at.parentElement) if (scrolls(at)) return at;
  return document.scrollingElement;
}

export class Scroller {
  constructor(view, bar) {
    this.view = view;
    this.bar = bar;
    this.element = scrollerOf(view);
    this.whole = this.element === document.scrollingElement;
  }

  // What an IntersectionObserver takes, and what scroll events come from.
  get root() { return this.whole ? null : this.element; }
  get source() { return this.whole ? document : this.element; }

  // The lines between which entries can be seen, in pixels of the window.
  edges() {
    const box = this.whole ? { top: 0, bottom: innerHeight } : this.element.getBoundingClientRect();
    return { top: Math.max(box.top, this.bar.getBoundingClientRect().bottom), bottom: Math.min(box.bottom, innerHeight) };
  }

  // What stands above the bar when it sticks: the page's own bar, or that of the pane.
  fit() {
    const top = this.whole ? document.querySelector(".top") : this.element.querySelector(":scope > .pane-bar");
    const sticks = top && getComputedStyle(top).position === "sticky";
    this.view.style.setProperty("--bar-top", sticks ? `${Math.floor(top.getBoundingClientRect().height)}px` : "0px");
  }

  get top() { return this.element.scrollTop; }
  get height() { return this.element.scrollHeight; }
  get left() { return this.element.scrollHeight - this.element.clientHeight - this.element.scrollTop; }

  by(pixels) {
    if (pixels) this.element.scrollBy({ top: pixels, behavior: "instant" });
  }

  toEnd() {
    this.element.scrollTo({ top: this.element.scrollHeight, behavior: "instant" });
  }

  // Puts an element's upper edge under the bar.
  toTop(element) {
    // The bar may not stick yet: then it comes along, and the second step counts.
    for (let step = 0; step < 2; step += 1) this.by(element.getBoundingClientRect().top - this.edges().top - 8);
  }

  // Scrolls no further than it takes to see the element.
  reveal(box) {
    const { top, bottom } = this.edges();
    if (box.top < top + 4) this.by(box.top - top - 8);
    else if (box.bottom > bottom - 4) this.by(Math.min(box.bottom - bottom + 8, box.top - top - 8));
  }

  // The first entry of which something can be seen.
  first(selector = "article.item") {
    const { top, bottom } = this.edges();
    for (const one of this.view.querySelectorAll(selector)) {
      const box = one.getBoundingClientRect();
      if (box.height && box.bottom > top + 1) return box.top < bottom ? one : null;
    }
    return null;
  }

  // Does something above the reader without moving what is read. Browsers do that by themselves, but for Safari.
  steady(change) {
    const seen = KEEPS ? null : this.first();
    const before = seen?.getBoundingClientRect().top;
    change();
    if (seen?.isConnected) this.by(seen.getBoundingClientRect().top - before);
  }
}
