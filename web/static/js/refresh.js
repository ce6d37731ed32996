// Parts of a page that are fetched again when something happens, and morphed in place:
//   <section id="part-head" data-refresh="/tickets/WEB-1?part=head" data-refresh-on="ticket. run." data-refresh-ticket="WEB-1">
// `data-refresh-on` are beginnings of kinds (all without it); `data-refresh-every="5"` fetches each so many seconds too, while the
// page is seen. A form that somebody types in, or has typed in, is left alone. One fetch of a part is under way at a time, and
// what was changed meanwhile by something else is not overwritten. A hidden page catches up when it is seen again.
import { dirty } from "./fields.js";
import { told, toast } from "./toasts.js";

const QUIET_MS = 30; // after an event, for those that come with it
const PAUSE_MS = 400; // between two fetches of one part
const RETRY_MS = [1000, 2000, 5000, 10_000, 30_000];
const states = new WeakMap();
const parts = () => document.querySelectorAll("[data-refresh]");

function of(part) {
  if (!states.has(part)) states.set(part, { timer: 0, busy: false, again: false, fetched: 0, changed: 0, failed: 0 });
  return states.get(part);
}

function concerns(part, entry) {
  const { refreshOn, refreshTicket, refreshProject } = part.dataset;
  if (refreshTicket && entry.ticket !== refreshTicket) return false;
  if (refreshProject && entry.project !== refreshProject) return false;
  return refreshOn === undefined || refreshOn.split(" ").some((kind) => kind && entry.kind.startsWith(kind));
}

export function typedIn(form) {
  if (form.querySelector(".problem")) return true; // a refused form: what was typed stands there as its default
  if (form.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) return true;
  return [...form.querySelectorAll("input, textarea, select")].some(dirty);
}

// What the reader is in the middle of stays as it is while `swap` runs.
export async function keeping(part, swap) {
  const kept = [...part.querySelectorAll("form:not([hx-morph-skip])")].filter(typedIn);
  for (const form of kept) form.setAttribute("hx-morph-skip", "");
  try { await swap(); } finally { for (const form of kept) form.removeAttribute("hx-morph-skip"); }
  for (const form of kept) if (!form.isConnected && !form.matches("[aria-busy=true]") && !form.querySelector("[aria-busy=true]")) homeless(form);
}

// A form that somebody writes in is gone, as when another has answered: the words are not.
export function homeless(form) {
  const words = [...form.querySelectorAll("textarea, input[type=text], input:not([type])")].filter((field) => field.value.trim() && field.value !== field.defaultValue);
  if (words.length) toast("What you were writing has no place here any more", { error: true, hint: "You had written:", words: words.map((field) => field.value).join("\n\n") });
}

let putting = 0;

async function put(part, text) {
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  putting += 1;
  try { await keeping(part, () => htmx.swap({ sourceElement: part, target: part, text, swap: "outerMorph" })); } finally { putting -= 1; }
  document.dispatchEvent(new CustomEvent("refreshed", { detail: part }));
  // What had the focus is gone, and no module of the page has found a better place for it.
  if (focused && !focused.isConnected && document.activeElement === document.body) (document.getElementById(focused.id) || document.getElementById("main"))?.focus({ preventScroll: true });
}

// The part is no more, or not for this reader: it says so and is left as it was.
function end(part, answer, text) {
  const { message, hint } = told(text);
  const notice = document.createElement("p");
  notice.className = "notice notice-amber";
  notice.setAttribute("role", "status");
  notice.textContent = [message || (answer.status === 404 ? "This is no longer there." : `This can no longer be shown: the answer was ${answer.status}.`), hint].filter(Boolean).join(" ");
  if (part.matches("tr, tbody, ul, ol, table, dl")) part.before(notice); else part.prepend(notice);
  part.removeAttribute("data-refresh");
}

function fail(part, state) {
  state.failed += 1;
  part.classList.add("stale");
  // A lost connection is told at the top of the page already.
  if (state.failed === 2 && document.getElementById("live")?.dataset.state === "open" && !document.querySelector("#toasts .toast-stale")) {
    toast("A part of this page could not be brought up to date", { error: true, hint: "It is tried again." }).classList.add("toast-stale");
  }
  const delay = RETRY_MS[Math.min(state.failed, RETRY_MS.length) - 1];
  clearTimeout(state.timer);
  state.timer = setTimeout(() => run(part), delay);
}

async function get(url) {
  try {
    const answer = await fetch(url, { headers: { "HX-Request": "true", Accept: "text/html" } });
    return { answer, text: await answer.text() };
  } catch {
    return { answer: null, text: "" }; // nobody answered
  }
}

export async function refresh(part) {
  const state = of(part);
  if (state.busy) { state.again = true; return; }
  Object.assign(state, { busy: true, again: false, fetched: Date.now() });
  const changed = state.changed;
  try {
    const { answer, text } = await get(part.dataset.refresh);
    if (!part.isConnected || !part.dataset.refresh) return;
    if (!answer) { fail(part, state); return; }
    const login = answer.status === 401 || (answer.redirected && new URL(answer.url).pathname === "/login");
    if (login) { document.dispatchEvent(new CustomEvent("live:status", { detail: "login" })); return; }
    if (answer.status >= 500 || answer.status === 429) { fail(part, state); return; }
    if (!answer.ok) { end(part, answer, text); return; }
    if (state.failed) { state.failed = 0; part.classList.remove("stale"); document.querySelector("#toasts .toast-stale")?.remove(); }
    if (state.changed !== changed) { state.again = true; return; }
    await put(part, text);
  } finally {
    state.busy = false;
    if (state.again && part.isConnected) soon(part);
  }
}

function run(part) {
  of(part).timer = 0;
  if (!part.isConnected || !part.dataset.refresh) return;
  if (document.hidden && !("refreshHidden" in part.dataset)) { of(part).again = true; return; }
  refresh(part);
}

export function soon(part) {
  const state = of(part);
  if (state.busy) { state.again = true; return; }
  if (state.timer) return;
  state.timer = setTimeout(() => run(part), Math.max(0, state.fetched + PAUSE_MS - Date.now()));
}

// What was heard of late, and when: all of it is wanted where the newest entries are not told one by one.
const MOST_PAST = 500;
let past = [];
const remember = (entry) => { past.push({ entry, at: performance.now() }); if (past.length > MOST_PAST) past.shift(); };

// Parts that something else has fetched since `began` (`performance.now()`) are in the page now. What happened meanwhile came too
// late for their text, and was told before they were there to hear it.
export function overtaken(root, began) {
  const missed = past.filter(({ at }) => at >= began).map(({ entry }) => entry);
  if (missed.length) look(root, missed);
}

// Parts that one of the entries concerns; all of them where one is null, for more than is told one by one.
function look(root, entries) {
  for (const part of root.querySelectorAll("[data-refresh]")) if (entries.some((entry) => !entry || concerns(part, entry))) soon(part);
}

// What comes together is looked at together, once what it changes elsewhere on the page has been drawn.
let heard = [];
function gather() {
  const entries = heard;
  heard = [];
  look(document, entries);
}
document.addEventListener("live", ({ detail }) => { remember(detail); if (heard.push(detail) === 1) setTimeout(gather, QUIET_MS); });
document.addEventListener("live:behind", () => { remember(null); look(document, [null]); });
document.addEventListener("live:status", ({ detail }) => { if (detail === "open") for (const part of parts()) if (of(part).failed) soon(part); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) for (const part of parts()) if (of(part).again) soon(part); });
// What the reader's own action put into a part is newer than an answer that is still on its way.
document.addEventListener("htmx:before:swap", ({ detail }) => {
  if (putting) return;
  for (const { target } of detail.tasks || []) {
    const changed = typeof target === "string" ? document.querySelector(target) : target;
    for (const part of changed ? parts() : []) if (part.contains(changed) || changed.contains(part)) of(part).changed += 1;
  }
});
setInterval(() => {
  for (const part of document.querySelectorAll("[data-refresh][data-refresh-every]")) {
    if (!document.hidden && Date.now() - of(part).fetched >= Number(part.dataset.refreshEvery) * 1000) soon(part);
  }
}, 1000);
