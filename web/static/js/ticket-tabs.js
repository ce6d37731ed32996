// The tabs of a ticket keep their place: a panel that was opened stays in the page, hidden, with what is open in it and how far it
// was scrolled. Links from one tab to another stay within the ticket. In a page of its own the address follows; beside the board
// that is the board's.
//
// A panel is told: `panel:hide`, and `panel:show` (detail: {url}) also when a link leads into the panel that is already shown.
import { plain } from "./clicks.js";
import { overtaken, soon } from "./refresh.js";

const SUBPAGE = /^\/(?:(transcript|changes|checks|runs)(?:\/\d+)?)?$/;

export const paneOf = (element) => element?.closest?.("#part-pane");
export const beside = (pane) => Boolean(pane?.closest("#pane"));
const panels = (pane) => [...pane.querySelectorAll(":scope > .tab-panels > .tab-panel")];
const shown = (pane) => panels(pane).find((panel) => !panel.hidden);

// The tab that an address of this ticket's belongs to; null for any other address.
function tabOf(pane, url) {
  const root = `/tickets/${pane.dataset.key}`;
  if (url.origin !== location.origin || !url.pathname.startsWith(root)) return null;
  const found = SUBPAGE.exec(url.pathname.slice(root.length) || "/");
  return found ? found[1] || "" : null;
}

const address = (url) => url.pathname + url.search;

function scroller(pane) {
  for (let one = pane.parentElement; one && one !== document.body; one = one.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(one).overflowY)) return one;
  }
  return document.scrollingElement;
}

// Parts that nobody sees are not kept up to date; they are fetched when they are seen again.
function hold(panel) {
  for (const part of panel.querySelectorAll("[data-refresh]")) { part.dataset.refreshHeld = part.dataset.refresh; delete part.dataset.refresh; }
}

function release(panel) {
  for (const part of panel.querySelectorAll("[data-refresh-held]")) {
    part.dataset.refresh = part.dataset.refreshHeld;
    delete part.dataset.refreshHeld;
    soon(part);
  }
}

function leave(pane, panel) {
  panel.dataset.scroll = scroller(pane).scrollTop;
  panel.hidden = true;
  hold(panel);
  panel.dispatchEvent(new CustomEvent("panel:hide", { bubbles: true }));
}

function place(pane, panel, fresh) {
  const box = scroller(pane);
  const bar = pane.querySelector(".ticket-tabs");
  const top = box.scrollTop + bar.getBoundingClientRect().top - (box === document.scrollingElement ? document.querySelector(".top")?.offsetHeight || 0 : box.getBoundingClientRect().top);
  const to = fresh ? Math.min(box.scrollTop, Math.max(0, top)) : Number(panel.dataset.scroll || 0);
  box.scrollTo({ top: to, behavior: "instant" });
}

// On a narrow screen the tabs scroll sideways.
function inView(link) {
  const bar = link.parentElement;
  if (bar.scrollWidth > bar.clientWidth) bar.scrollLeft = link.offsetLeft - (bar.clientWidth - link.offsetWidth) / 2;
}

function target(url) {
  return url.hash.length > 1 ? document.getElementById(decodeURIComponent(url.hash.slice(1))) : null;
}

// What draws itself, as a long transcript, finds the place of a hash on its own: by `goto(hash)` where it has one, or by the event.
async function lead(panel, url) {
  if (url.hash.length < 2) return;
  if (url.href === location.href) dispatchEvent(new HashChangeEvent("hashchange", { newURL: url.href }));
  for (const one of panel.children) {
    if (!one.localName.includes("-")) continue;
    await customElements.whenDefined(one.localName);
    one.goto?.(url.hash);
  }
}

function arrive(at) {
  at.closest("details:not([open])")?.setAttribute("open", "");
  at.scrollIntoView({ block: "start" });
  at.classList.add("arrived");
  at.addEventListener("animationend", () => at.classList.remove("arrived"), { once: true });
}

// What stands in a panel is put there when it is seen, so that it can measure itself.
function show(pane, panel, url, text) {
  const before = shown(pane);
  if (before && before !== panel) leave(pane, before);
  if (!panel.isConnected) pane.querySelector(":scope > .tab-panels").append(panel);
  if (panel.hidden) { panel.hidden = false; if (text === undefined) release(panel); }
  if (text !== undefined) { panel.dataset.url = address(url); fill(panel, text); }
  pane.dataset.tab = panel.dataset.tab;
  for (const link of pane.querySelectorAll(".ticket-tabs a")) {
    if (link.dataset.tab === panel.dataset.tab) { link.setAttribute("aria-current", "page"); inView(link); }
    else link.removeAttribute("aria-current");
  }
  if (before !== panel || text !== undefined) place(pane, panel, text !== undefined);
  panel.dispatchEvent(new CustomEvent("panel:show", { bubbles: true, detail: { url: url.href } }));
  lead(panel, url);
  const at = target(url);
  if (at) arrive(at);
}

// The panel of an address; null where the answer is no panel, so that the browser is to go there itself.
async function ask(url) {
  const asked = new URL(url);
  asked.searchParams.set("part", "panel");
  asked.hash = "";
  try {
    const answer = await fetch(asked, { headers: { "HX-Request": "true", Accept: "text/html" } });
    const text = await answer.text();
    return answer.ok && !answer.redirected && !/^\s*<(!doctype|html)\b/i.test(text) ? text : null;
  } catch (error) {
    if (error instanceof TypeError) return null; // fetch's way to say that nobody answered
    throw error;
  }
}

function fill(panel, text) {
  panel.innerHTML = text; // the server's own, as a page is
  htmx.process(panel);
  document.dispatchEvent(new CustomEvent("refreshed", { detail: panel }));
}

function made(tab) {
  const panel = document.createElement("div");
  panel.className = "tab-panel";
  panel.id = `panel-${tab || "conversation"}`;
  panel.dataset.tab = tab;
  panel.hidden = true;
  return panel;
}

let asking = 0;

// Opens the tab of an address. A tab's own address shows it as it was left; a further one, as of another run, is fetched.
export async function open(pane, url, { push = true } = {}) {
  const tab = tabOf(pane, url);
  const current = shown(pane);
  const here = new URL(location.href);
  if (beside(pane)) current.dataset.url ??= `/tickets/${pane.dataset.key}`;
  else if (push && tabOf(pane, here) === current.dataset.tab) current.dataset.url = address(here);
  const panel = panels(pane).find((one) => one.dataset.tab === tab) || made(tab);
  const root = !url.search && url.pathname.split("/").length <= 4;
  const kept = panel.isConnected && (panel.dataset.url === address(url) || (root && panel !== current));
  const turn = ++asking;
  if (push && !beside(pane) && url.href !== location.href) history.pushState({ tab }, "", kept && !url.hash ? panel.dataset.url : url);
  if (kept) { show(pane, panel, url); return; }
  const link = pane.querySelector(`.ticket-tabs a[data-tab="${tab}"]`);
  link?.setAttribute("aria-busy", "true");
  const began = performance.now();
  const text = await ask(url);
  link?.removeAttribute("aria-busy");
  if (turn !== asking) return; // another tab was chosen meanwhile
  if (text === null) { location.assign(url); return; }
  show(pane, panel, url, text);
  overtaken(panel, began);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  const pane = paneOf(link);
  if (!pane || event.defaultPrevented || !plain(event)) return;
  if (link.target || link.hasAttribute("download") || link.matches("[data-ask], .open-full")) return;
  const url = new URL(link.href);
  if (tabOf(pane, url) === null) return;
  event.preventDefault();
  open(pane, url);
});

// A choice of what a tab shows: a form of GET.
for (const kind of ["change", "submit"]) {
  document.addEventListener(kind, (event) => {
    const form = event.target.closest?.("form[data-pick]");
    const pane = paneOf(form);
    if (!pane) return;
    event.preventDefault();
    open(pane, new URL(`${form.getAttribute("action")}?${new URLSearchParams(new FormData(form))}`, location.href));
  });
}

const own = document.getElementById("part-pane");
if (own && !beside(own)) shown(own).dataset.url = address(new URL(location.href));
for (const link of document.querySelectorAll(".ticket-tabs [aria-current]")) inView(link);

addEventListener("popstate", () => {
  const pane = document.getElementById("part-pane");
  const url = new URL(location.href);
  if (pane && !beside(pane) && tabOf(pane, url) !== null) open(pane, url, { push: false });
});
