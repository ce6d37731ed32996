// A transcript as it grows: entries come as they are scrolled to, and as they happen. The server renders all of them; without this
// script the page has links between windows of them.
import { Find, Places } from "./transcript-find.js";
import { Follow } from "./transcript-follow.js";
import { CHUNK, List } from "./transcript-list.js";
import { Live } from "./transcript-live.js";
import { Openness } from "./transcript-open.js";
import { Scroller } from "./transcript-scroll.js";
import { act } from "./transcript-keys.js";
import { toast } from "./toasts.js";

const AHEAD = "1500px 0px"; // how near the reader entries are fetched
const RETRY_MS = 2000;

// The run, session and entry that a hash names.
function parsed(hash) {
  const found = /^#item-(\d+)-(?:(.+)-)?(\d+)$/.exec(decodeURIComponent(hash));
  return found ? [found[1], found[2] ?? "", Number(found[3])] : [];
}

class TranscriptView extends HTMLElement {
  connectedCallback() {
    if (this.stop) return;
    this.stop = new AbortController();
    this.base = `/tickets/${encodeURIComponent(this.dataset.key)}/transcript`;
    this.scroller = new Scroller(this, this.querySelector(".transcript-bar"));
    this.lists = new Map();
    this.places = new WeakMap();
    this.open = new Openness(this);
    this.errors = new Places(this);
    this.find = new Find(this, this.querySelector("form.find"));
    this.near = new IntersectionObserver((seen) => this.moved(seen), { root: this.scroller.root, rootMargin: AHEAD });
    this.scroller.fit();
    const { signal } = this.stop;
    addEventListener("resize", () => this.scroller.fit(), { signal });
    this.addEventListener("click", (event) => this.clicked(event), { signal });
    this.addEventListener("focusin", ({ target }) => { const article = target.closest("article.item"); if (article) this.choose(article); }, { signal });
    addEventListener("hashchange", () => this.goto(location.hash), { signal });
    document.addEventListener("panel:show", ({ target, detail }) => { if (target.contains(this)) this.shown(new URL(detail.url)); }, { signal });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.live?.seen(); }, { signal });
    document.addEventListener("click", ({ target }) => this.shut(target), { signal });
    this.addEventListener("keydown", (event) => { if (event.key === "Escape" && this.shut(null)) event.stopPropagation(); }, { signal });
    this.begun = this.begin().catch((error) => this.failed(error));
  }

  disconnectedCallback() {
    this.stop?.abort();
    this.near?.disconnect();
    this.follow?.end();
    this.find?.forget();
    this.stop = null;
  }

  async begin() {
    const { begin, count, index, session: name } = this.dataset;
    const feed = this.querySelector(".feed");
    const even = "even" in this.dataset;
    this.root = new List(this, name, feed, { begin: Number(begin), count: even ? Number(count) : 0, seqs: null });
    this.lists.set(name, this.root);
    this.dataset.ready = "";
    if (even) this.root.adopt(Number(index));
    const asked = this.asked();
    // What the address names is kept in sight: there are boxes above it now.
    const there = even && asked?.[0] === name ? this.root.article(asked[1]) : null;
    if (there) this.scroller.toTop(there);
    this.follow = new Follow(this, this.querySelector(".follow"));
    this.live = new Live(this);
    this.nestAll(this);
    if (even && "live" in this.dataset && !asked) this.follow.toEnd();
    this.follow.show();
    const words = this.find.input.value; // of the address: what is typed meanwhile is looked for by itself
    // Of a run that goes on, what happened since the server made the page was told before anybody here listened. It is looked at in
    // the order of what is told from now on.
    const rebuild = !even || "live" in this.dataset;
    await new Promise((done, failed) => { this.live.queue(() => this.refresh({ rebuild }).then(done, failed)); });
    if (asked) await this.goTo(...asked);
    if (!words || this.find.input.value !== words) return;
    await this.find.search();
    if (!asked && this.find.hits.all.length) await this.find.go(1);
  }

  // The entry that the address of the page names.
  asked() {
    if (!this.here()) return null;
    const [run, name, seq] = parsed(location.hash);
    if (run) return run === this.dataset.run ? [name, seq] : null;
    const at = new URLSearchParams(location.search).get("at");
    return at === null ? null : [this.dataset.session, Number(at)];
  }

  // Somebody came back to this tab, or by a link to an entry.
  async shown(url) {
    await this.begun;
    this.scroller.fit();
    this.live.seen();
    if (url.hash) await this.goto(url.hash);
    else if (this.follow.on) this.follow.keep();
  }

  // Told of by the browser, and by the tabs: it is one way.
  async goto(hash) {
    if (this.going === hash) return;
    this.going = hash;
    await this.begun;
    const [run, name, seq] = parsed(hash);
    try { if (run === this.dataset.run && this.checkVisibility()) await this.goTo(name, seq); } finally { if (this.going === hash) this.going = ""; }
  }

  // Closes the menus that are open, but for the one that holds an element; says whether there were any.
  shut(target) {
    const open = [...this.querySelectorAll("details.drop[open]")].filter((drop) => !drop.contains(target));
    for (const drop of open) { drop.open = false; if (!target) drop.querySelector("summary").focus(); }
    return open.length > 0;
  }

  failed(error) {
    if (!this.isConnected || error.name === "AbortError") return;
    console.warn("the transcript cannot be read", error);
    toast("The transcript could not be read", { error: true, hint: "Reload the page when the site answers again." });
  }

  // What the server says.
  async ask(what, query) {
    const answer = await fetch(`${this.base}/${what}?${new URLSearchParams({ run: this.dataset.run, ...query })}`, { signal: this.stop?.signal });
    if (!answer.ok) throw new Error(`${what}: the answer was ${answer.status}`);
    return answer;
  }

  async outline(query = {}) {
    return (await this.ask("outline", { show: this.dataset.show, ...query })).json();
  }

  async window(session, seqs, more = {}) {
    try {
      const answer = await this.ask("window", { session, seqs, ...more });
      const holder = document.createElement("template");
      holder.innerHTML = await answer.text();
      return holder.content;
    } catch (error) {
      if (error.name !== "AbortError") setTimeout(() => this.pump(), RETRY_MS);
      throw error;
    }
  }

  // Asks where everything is, and shows it: the lists themselves are made anew only if told. Where entries may be numbered anew, the
  // server looks for the one that is seen by its name, which takes it through all of their texts.
  async refresh({ rebuild = false, renumbered = false } = {}) {
    const seen = rebuild ? this.scroller.first(":scope > .feed > .chunk > article.item") : null;
    const anchor = renumbered ? seen?.dataset.name : "";
    const query = { ...(anchor ? { anchor } : {}), ...(this.find.words ? { q: this.find.words } : {}) };
    const told = await this.outline(query);
    this.sessions = new Map(told.sessions.map((session) => [session.name, session]));
    this.toggleAttribute("data-live", told.live);
    this.errors.set(told.errors.filter(([name]) => this.within(name)));
    this.count(told.counts);
    if (told.hits) this.find.take(told.hits);
    if (rebuild) await this.rebuild(told, seen);
    if (rebuild) this.follow.noticed(); else this.follow.show();
    return told;
  }

  count(counts) {
    for (const chip of this.querySelectorAll("[data-show] .chip-count")) {
      const what = chip.parentElement.dataset.show;
      const number = what === "errors" && !this.root.name ? this.errors.all.length : counts[what]; // those of its children too
      chip.textContent = number === undefined || this.root.name ? "" : ` ${number.toLocaleString()}`;
    }
    const { length } = this.errors.all;
    this.querySelector(".erring").hidden = !length;
    this.querySelector(".erring-count").textContent = `${length.toLocaleString()} ${length === 1 ? "error" : "errors"}`;
  }

  // Every list anew, with the entry that was seen where it was: after a filter, or when the run's record was read back.
  async rebuild(told, seen) {
    const seq = told.anchor ?? Number(seen?.dataset.seq ?? 0);
    const model = this.sessions.get(this.root.name) || { begin: 0, count: 0, seqs: null };
    const put = await this.root.become(model, this.follow.on ? Infinity : seq);
    for (const name of [...this.lists.keys()]) if (name !== this.root.name) this.lists.delete(name);
    // Not where it was when they were asked for: the reader goes on scrolling, and has not been heard where this frame is not done.
    this.follow.scrolled();
    const top = seen?.isConnected ? seen.getBoundingClientRect().top : null;
    put();
    this.none();
    const again = model.count ? this.root.article(this.root.seqAt(Math.min(this.root.indexOf(seq), model.count - 1))) : null;
    if (this.follow.on) this.follow.keep();
    else if (again && top !== null) this.scroller.by(again.getBoundingClientRect().top - top);
    this.pump();
  }

  none() {
    this.querySelector(".none").hidden = this.root.count > 0;
  }

  // Chunks come near, and go.
  observe(element, list, n) {
    this.places.set(element, [list, n]);
    this.near.observe(element);
  }

  forget(element) {
    this.undress(element);
    this.near.unobserve(element);
  }

  moved(seen) {
    for (const { target, isIntersecting } of seen) {
      const [list, n] = this.places.get(target);
      if (!target.isConnected) continue;
      list.seen(n, isIntersecting);
    }
    this.pump();
  }

  pump() {
    clearTimeout(this.pumping);
    // A reader who drags the scroll bar passes by most of what comes near.
    this.pumping = setTimeout(() => { for (const list of this.lists.values()) if (list.element.isConnected) list.pump(); }, 30);
  }

  // What entries need that come into the page.
  dress(part, list, n, from = 0) {
    for (const [at, article] of [...part.children].entries()) {
      article.setAttribute("aria-posinset", n * CHUNK + from + at + 1);
      article.setAttribute("aria-setsize", this.hasAttribute("data-live") ? -1 : list.count);
      if (this.current === `${list.name} ${article.dataset.seq}`) article.tabIndex = 0;
    }
    this.open.dress(part, list.name);
  }

  dressed(element) {
    this.nestAll(element);
    if (this.find.words) for (const article of element.querySelectorAll("article.item")) if (!this.find.marks.has(article)) this.find.mark(article);
  }

  undress(element) {
    for (const article of element.querySelectorAll("article.item")) this.find.unmark(article);
  }

  // Child sessions.
  nestAll(within) {
    for (const fold of within.querySelectorAll("details.child[open]")) this.nest(fold);
  }

  async nest(fold) {
    const name = fold.dataset.session;
    if (fold.querySelector(":scope > .nest > .feed")) return this.lists.get(name);
    if (!this.sessions?.has(name)) await this.refresh();
    const model = this.sessions.get(name);
    const nest = fold.querySelector(":scope > .nest");
    if (!model || nest.querySelector(":scope > .feed")) return this.lists.get(name);
    const feed = document.createElement("div");
    feed.className = "feed";
    feed.setAttribute("role", "feed");
    feed.setAttribute("aria-label", "Entries of the child session");
    nest.setAttribute("hx-morph-skip", "");
    nest.append(feed);
    const list = new List(this, name, feed, model);
    this.lists.set(name, list);
    list.extend();
    await list.load(0).catch(() => {});
    return list;
  }

  within(name) {
    for (let at = name; at !== undefined && at !== null; at = this.sessions.get(at)?.parent) if (at === this.root.name) return true;
    return false;
  }

  // Where an entry stands in the tree of sessions, comparable place by place.
  path(name, seq) {
    const path = [seq];
    for (let at = this.sessions.get(name); at && at.name !== this.root.name; at = this.sessions.get(at.parent)) path.unshift(at.call ?? Infinity);
    return path;
  }

  listOf(article) {
    const [list] = this.places.get(article.parentElement) || [];
    return list || this.root;
  }

  anchor(name, seq) {
    return name ? `item-${this.dataset.run}-${name}-${seq}` : `item-${this.dataset.run}-${seq}`;
  }

  // Brings an entry into the page and under the reader's eyes; gives its article.
  async goTo(name, seq, { focus = true } = {}) {
    this.follow.set(false);
    const list = await this.reachList(name);
    let article = await list?.reach(seq).catch(() => null);
    if (!article && this.dataset.show !== "all") { await this.show("all"); return this.goTo(name, seq, { focus }); }
    if (!article) { toast("That entry is not in the transcript any more", { error: true, hint: "The record of the run was read anew." }); return null; }
    this.scroller.toTop(article);
    // What comes near may still push it: the browser keeps it where it is, but not where a box above it was in sight.
    await new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); });
    article = list.article(seq) || article;
    this.scroller.toTop(article);
    if (focus && document.activeElement !== this.find.input) article.focus({ preventScroll: true });
    this.choose(article);
    article.classList.remove("arrived");
    requestAnimationFrame(() => article.classList.add("arrived"));
    return article;
  }

  async reachList(name) {
    if (this.lists.get(name)?.element.isConnected) return this.lists.get(name);
    const session = this.sessions?.get(name);
    const parent = session && session.parent !== null ? await this.reachList(session.parent) : null;
    if (!parent) return null;
    const call = session.call === null ? this : await parent.reach(session.call);
    const fold = call?.querySelector(`details.child[data-session="${CSS.escape(name)}"]`);
    if (!fold) return null;
    this.open.unfold(fold);
    return this.nest(fold);
  }

  // Whether text is selected in the transcript, or in an entry of it.
  selected(within = this) {
    const selection = getSelection();
    return !selection.isCollapsed && selection.containsNode(within, true);
  }

  // The entry that keys are about.
  choose(article) {
    const before = this.querySelector('article.item[tabindex="0"]');
    if (before && before !== article) before.tabIndex = -1;
    article.tabIndex = 0;
    this.current = `${this.listOf(article).name} ${article.dataset.seq}`;
  }

  // Whether the address of the page is that of this transcript: in a pane beside the board it is not.
  here() { return location.pathname === this.base; }

  address() {
    if (!this.here()) return;
    const query = new URLSearchParams({ run: this.dataset.run });
    for (const [name, value, usual] of [["session", this.root.name, ""], ["show", this.dataset.show, "all"], ["q", this.find.words, ""]]) if (value !== usual) query.set(name, value);
    history.replaceState(history.state, "", `${this.base}?${query}`);
  }

  async show(what) {
    if (this.dataset.show === what) return;
    this.dataset.show = what;
    for (const chip of this.querySelectorAll(".chips [data-show]")) {
      if (chip.dataset.show === what) chip.setAttribute("aria-current", "true"); else chip.removeAttribute("aria-current");
    }
    await this.refresh({ rebuild: true });
    this.address();
  }

  // The same entry with nothing of its texts left out.
  async whole(article) {
    const list = this.listOf(article);
    const part = await this.window(list.name, article.dataset.seq, { whole: "true", q: this.find.words });
    const fresh = part.querySelector("article.item");
    if (!fresh || !article.isConnected) return article;
    for (const name of ["aria-posinset", "aria-setsize", "tabindex"]) if (article.hasAttribute(name)) fresh.setAttribute(name, article.getAttribute(name));
    this.open.dress(part, list.name);
    const focused = article.contains(document.activeElement);
    this.find.unmark(article);
    article.replaceWith(fresh);
    this.nestAll(fresh.parentElement);
    this.find.mark(fresh);
    if (focused) fresh.focus({ preventScroll: true });
    return fresh;
  }

  clicked(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    const { target } = event;
    const chip = target.closest(".chips [data-show]");
    const more = target.closest("a.more");
    const button = target.closest("[data-act]");
    const link = target.closest("a.at");
    if (chip) { event.preventDefault(); this.show(chip.dataset.show).catch((error) => this.failed(error)); }
    else if (more) { event.preventDefault(); this.whole(more.closest("article.item")).catch((error) => this.failed(error)); }
    else if (button) act(this, button.dataset.act, button);
    else if (link) { event.preventDefault(); act(this, "link", link); }
  }
}

customElements.define("transcript-view", TranscriptView);
