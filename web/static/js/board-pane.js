// The ticket beside the board: a click on a card opens it there, with an address that can be shared. A card is a link: a click
// before this module is here leads to the ticket's own page, which has all that the pane has, and back. It is not held until
// then: where scripts do not come, or late, it would be a click that does nothing.
import { cardOf, get, put } from "./board-parts.js";
import { current, focus } from "./board-focus.js";
import { plain } from "./clicks.js";
import { key } from "./keys.js";
import { overtaken } from "./refresh.js";
import { loggedOut } from "./requests.js";
import { toast, told } from "./toasts.js";
import { setAside } from "./unsent.js";

const FOLLOW_MS = 180;
const pane = document.getElementById("pane");
const roomy = matchMedia("(min-width: 60rem)");
let shown = "";
let asking = null;
let following = 0;

function styles() {
  for (const href of (pane.dataset.styles || "").split(" ").filter(Boolean)) {
    if (document.querySelector(`link[href="${CSS.escape(href)}"]`)) continue;
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = href;
    document.head.append(link);
  }
  pane.dataset.styles = "";
}

function mark() {
  for (const one of document.querySelectorAll(".card-title[aria-current]")) one.removeAttribute("aria-current");
  if (shown) cardOf(shown)?.querySelector(".card-title").setAttribute("aria-current", "true");
}

function address(name, replace) {
  const query = new URLSearchParams(location.search);
  if (name) query.set("open", name); else query.delete("open");
  const text = query.toString();
  history[replace ? "replaceState" : "pushState"](null, "", text ? `/?${text}` : "/");
}

export async function open(name, { replace = false, quiet = false } = {}) {
  asking?.abort();
  const own = asking = new AbortController();
  styles();
  if (!quiet) address(name, replace || Boolean(shown));
  shown = name;
  pane.hidden = false;
  pane.setAttribute("aria-busy", "true");
  mark();
  const began = performance.now();
  let answer;
  try { answer = await get(`/tickets/${encodeURIComponent(name)}?part=pane`, own.signal); } catch (error) {
    if (error.name === "AbortError") return;
    toast("The site does not answer", { error: true, hint: "Try again when it is connected." });
    close();
    return;
  }
  if (asking !== own) return;
  pane.removeAttribute("aria-busy");
  if (answer.status === 401) { loggedOut(""); close(); return; }
  if (!answer.ok) {
    const { message, hint } = told(answer.text);
    toast(message || `${name} cannot be shown`, { error: true, hint });
    close();
    return;
  }
  leave(name);
  await put(pane, bar() + answer.text);
  overtaken(pane, began);
  pane.setAttribute("aria-label", `Ticket ${name}`);
  pane.scrollTop = 0;
  cardOf(name)?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function bar() {
  const made = document.getElementById("pane-bar").content.cloneNode(true);
  const holder = document.createElement("div");
  holder.append(made);
  return holder.innerHTML;
}

// Another ticket takes the pane, or none: what was typed on this one waits for it.
function leave(next = "") {
  const { key: name } = pane.querySelector("#part-pane")?.dataset || {};
  if (setAside(pane) && name !== next) toast(`What you typed on ${name} is kept`, { hint: "It was not sent. Open the ticket again to go on." });
}

export function close({ quiet = false } = {}) {
  asking?.abort();
  asking = null;
  const name = shown;
  const within = pane.contains(document.activeElement) || document.activeElement === document.body;
  shown = "";
  pane.hidden = true;
  leave();
  pane.replaceChildren();
  pane.removeAttribute("aria-busy");
  mark();
  if (!quiet) address("", false);
  const card = cardOf(name);
  if (card && within) focus(card);
}

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || !plain(event)) return;
  if (event.target.closest?.("#pane [data-close-pane]")) { close(); return; }
  const link = event.target.closest?.("a[data-open]");
  if (!link || !roomy.matches) return;
  event.preventDefault();
  if (shown === link.dataset.open) pane.focus(); else open(link.dataset.open);
});

// While it is open, walking the cards by key shows each.
document.addEventListener("focusin", () => {
  const card = shown && current();
  clearTimeout(following);
  if (!card || card.dataset.key === shown || !document.activeElement.matches(".card-title")) return;
  following = setTimeout(() => { if (shown && current() === card) open(card.dataset.key, { replace: true }); }, FOLLOW_MS);
});

addEventListener("popstate", () => {
  const name = new URLSearchParams(location.search).get("open") || "";
  if (name === shown) return;
  if (name) open(name, { quiet: true }); else close({ quiet: true });
});
document.addEventListener("board:replaced", mark);
document.addEventListener("refreshed", () => { if (shown) mark(); });
key("Escape", "Close the ticket", () => close(), { group: "Board", when: () => Boolean(shown) });
key("p", "Go to the open ticket, and back", () => {
  if (pane.contains(document.activeElement)) { const card = cardOf(shown); if (card) focus(card); } else pane.focus();
}, { group: "Board", when: () => Boolean(shown) });

if (pane.dataset.open) open(pane.dataset.open.toUpperCase(), { quiet: true });
