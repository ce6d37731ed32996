// What can be done in a transcript by key, by button and by the palette.
import { key } from "./keys.js";
import "./ticket-keys.js"; // first, so that a transcript in sight is asked before it
import { toast } from "./toasts.js";

// The transcript that keys are about: the one in sight. Beside a board it has to hold the focus, for the board has keys of its own.
function view() {
  const found = [...document.querySelectorAll("transcript-view[data-ready]")].find((one) => one.checkVisibility());
  const pane = found?.closest("#pane");
  return found && (!pane || pane.contains(document.activeElement)) ? found : null;
}

function textOf(item) {
  const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
  if (item.kind === "plan") return item.entries.map(({ status, content }) => `[${status}] ${content}`).join("\n");
  if (item.kind !== "tool_call") return item.text || JSON.stringify(item, null, 2);
  return [item.title || item.tool, item.input === undefined ? "" : plain(item.input), item.output || ""].filter(Boolean).join("\n\n");
}

async function raw(one, article) {
  const session = one.listOf(article).name;
  const query = new URLSearchParams({ after: Number(article.dataset.seq) - 1, limit: 1, ...(session ? { session } : {}) });
  const answer = await fetch(`/api/v1/runs/${one.dataset.run}/items?${query}`);
  if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
  return textOf((await answer.json())[0]);
}

// A text that is still on its way may only be copied as a promise: the browser asks for the reader's own act.
async function copy(text, what) {
  try {
    if (typeof text === "string") await navigator.clipboard.writeText(text);
    else await navigator.clipboard.write([new ClipboardItem({ "text/plain": text.then((words) => new Blob([words], { type: "text/plain" })) })]);
    toast(`${what} copied`);
  } catch {
    toast("This browser lets no page copy here", { error: true, hint: typeof text === "string" ? text : "Open the session as JSON instead." });
  }
}

function currentOf(one) {
  return one.querySelector('article.item[tabindex="0"]');
}

// The next or previous entry from the chosen one, or the first in sight.
async function step(one, by) {
  const now = currentOf(one);
  const { top, bottom } = now?.getBoundingClientRect() || { top: 0, bottom: 0 };
  const edges = one.scroller.edges();
  if (!now || bottom < edges.top || top > edges.bottom) { put(one, one.scroller.first()); return; }
  const all = [...one.querySelectorAll("article.item")].filter((article) => article.checkVisibility());
  const list = one.listOf(now);
  const index = list.indexOf(Number(now.dataset.seq)) + by;
  const next = all[all.indexOf(now) + by];
  const gap = !next || (one.listOf(next) === list && list.indexOf(Number(next.dataset.seq)) !== index);
  if (!gap) { put(one, next); return; }
  if (index < 0 || index >= list.count) return;
  put(one, await list.reach(list.seqAt(index)).catch(() => null));
}

function put(one, article) {
  if (!article) return;
  one.follow.set(one.follow.on && one.follow.atEnd && article === [...one.querySelectorAll("article.item")].at(-1));
  one.choose(article);
  article.focus({ preventScroll: true });
  one.scroller.reveal(article.getBoundingClientRect());
}

const acts = {
  "hit-next": (one) => one.find.go(1),
  "hit-previous": (one) => one.find.go(-1),
  "error-next": (one) => error(one, 1),
  "error-previous": (one) => error(one, -1),
  follow: () => {}, // its button knows by itself
  link: (one, element) => {
    const url = new URL(element.href);
    if (one.here()) history.replaceState(history.state, "", url);
    copy(url.href, "Link");
  },
  copy: (one, element) => copy(raw(one, element.closest("article.item")), "Entry"),
};

async function error(one, by) {
  if (!one.errors.all.length) { toast("There is no error in this transcript"); return; }
  const article = await one.errors.go(by);
  const fold = article?.querySelector(":scope > details.flap");
  if (fold) one.open.unfold(fold);
}

export function act(one, name, element) {
  Promise.resolve(acts[name](one, element)).catch((problem) => one.failed(problem));
}

const group = "Transcript";
const when = () => Boolean(view());
const found = () => Boolean(view()?.find.hits.all.length);
key("j", "Next entry", () => step(view(), 1), { group, when });
key("k", "Previous entry", () => step(view(), -1), { group, when });
key("Enter", "Open or close the entry", () => {
  const fold = currentOf(view())?.querySelector(":scope > details.flap, :scope > details.child");
  if (fold) fold.open = !fold.open;
}, { group, when: () => when() && document.activeElement.matches("article.item") });
key("o", "Open or close all calls", () => view().open.toggle("all"), { group, when });
key("r", "Show or hide all reasoning", () => view().open.toggle("reasoning"), { group, when });
key("f", "Follow what is new", () => view().follow.toggle(), { group, when });
key("End", "Go to the end", () => view().follow.toEnd(), { group, when });
key("e", "Next error", () => act(view(), "error-next"), { group, when });
key("E", "Previous error", () => act(view(), "error-previous"), { group, when });
key("n", "Next hit of the search", () => act(view(), "hit-next"), { group, when: found });
key("N", "Previous hit of the search", () => act(view(), "hit-previous"), { group, when: found });
key("y", "Copy the entry", () => act(view(), "copy", currentOf(view()) || view().scroller.first()), { group, when: () => Boolean(view()?.root.count) });
key("Escape", "End the search", () => view().find.clear(), { group, when: () => Boolean(view()?.find.words) });
for (const [what, title] of [["all", "all"], ["messages", "messages only"], ["tools", "tool calls only"], ["edits", "edits only"], ["errors", "errors only"]]) {
  key("", `Show ${title}`, () => view().show(what), { group, when });
}
