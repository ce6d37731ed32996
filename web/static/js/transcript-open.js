// What of a transcript is unfolded: by hand, entry by entry, and all of a kind at once. It is remembered while entries come and go.
export class Openness {
  constructor(view) {
    this.view = view;
    this.all = false;
    this.reasoning = false;
    this.own = new Map(); // what the reader has done to one entry
    view.addEventListener("toggle", ({ target }) => this.note(target), true);
  }

  keyOf(fold) {
    if (fold.matches(".child")) return `child ${fold.dataset.session}`;
    const article = fold.closest("article.item");
    return `${this.view.listOf(article)?.name ?? ""} ${article.dataset.name || article.dataset.seq}`;
  }

  usual(fold) {
    if (fold.matches(".child")) return false;
    if (fold.closest("article.item").matches(".item-reasoning")) return this.reasoning;
    return this.all;
  }

  // Sets the folds of entries that come into the page.
  dress(part, name) {
    for (const fold of part.querySelectorAll("details.flap, details.child")) {
      const article = fold.closest("article.item");
      const key = fold.matches(".child") ? `child ${fold.dataset.session}` : `${name} ${article.dataset.name || article.dataset.seq}`;
      fold.open = this.own.get(key) ?? this.usual(fold);
    }
  }

  note(fold) {
    if (!fold.matches?.("details.flap, details.child") || !fold.isConnected) return;
    const key = this.keyOf(fold);
    if (fold.open === this.usual(fold)) this.own.delete(key); else this.own.set(key, fold.open);
    if (fold.matches(".child") && fold.open) this.view.nest(fold);
  }

  unfold(fold) {
    fold.open = true;
    this.own.set(this.keyOf(fold), true);
  }

  // All calls and prompts, or all reasoning, opened or closed.
  toggle(what) {
    this[what] = !this[what];
    const kind = what === "reasoning" ? ".item-reasoning" : ".item:not(.item-reasoning)";
    for (const key of [...this.own.keys()]) if (!key.startsWith("child ")) this.own.delete(key);
    const seen = this.view.scroller.first();
    const before = seen?.getBoundingClientRect().top;
    for (const fold of this.view.querySelectorAll("details.flap")) if (fold.parentElement.matches(kind)) fold.open = this[what];
    // The entry that the reader looks at may itself become higher: its beginning stays where it was, or comes into sight.
    if (seen) this.view.scroller.by(Math.min(seen.getBoundingClientRect().top - before, seen.getBoundingClientRect().top - this.view.scroller.edges().top));
    for (const list of this.view.lists.values()) list.measure();
    return this[what];
  }
}
