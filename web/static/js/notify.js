// How much waits for a person, where nobody looks: in the tab's title and icon, at the app's icon, and by the browser's own
// notifications. Those are asked for by a click only, come from the tab that leads, one for each ticket, and not while somebody
// is at this site.
import { key } from "./keys.js";
import { isLeading } from "./live.js";
import { toast } from "./toasts.js";
import { renewed, within } from "./within.js";

const WORDS = { "ticket.blocked": "needs you", "ticket.review": "is ready for review" };
const ASK_MS = 1000; // a busy machine lets another tab answer late
const DENIED = "This browser is set to show no notifications of this site: allow them in its settings for the site.";
const SECURE = "Browsers show notifications only of sites that come over TLS or from this machine.";
const badge = document.getElementById("waiting");
const icon = document.getElementById("icon");
const usual = icon.href;
const able = "Notification" in window && window.isSecureContext;
const channel = window.BroadcastChannel ? new BroadcastChannel("dispatcher-seen") : null;
let number = 0;

function mark() {
  const title = document.title.replace(/^\(\d+\) /, "");
  const marked = number ? `(${number}) ${title}` : title;
  if (document.title !== marked) document.title = marked;
  const shown = number ? icon.dataset.waiting : usual;
  if (icon.href !== new URL(shown, location.href).href) icon.href = shown;
}

function count(now) {
  if (now === number && badge?.dataset.waiting === String(now)) return;
  number = now;
  if (badge) {
    badge.dataset.waiting = now;
    badge.classList.toggle("count-loud", now > 0);
    const words = document.createElement("span");
    words.className = "hidden";
    words.textContent = " waiting for a person";
    badge.replaceChildren(...(now ? [String(now), words] : []));
  }
  mark();
  // Not every browser has it, and those that do may refuse: the badge is a nicety.
  if (now) navigator.setAppBadge?.(now).catch(() => {});
  else navigator.clearAppBadge?.().catch(() => {});
}

async function ask() {
  const answer = await fetch("/api/v1/inbox", { headers: { Accept: "application/json" } }).catch(() => null);
  if (answer?.ok) count((await answer.json()).count);
}

if (badge) {
  if (badge.dataset.waiting) count(Number(badge.dataset.waiting));
  else if (document.body.dataset.cursor) ask();
  document.addEventListener("live", ({ detail }) => { if (detail.waiting !== undefined) count(detail.waiting); });
  document.addEventListener("live:behind", ask);
  new MutationObserver(mark).observe(document.querySelector("head > title"), { childList: true });
}

// Whether the reader is here: at any page of the site, or with that ticket in sight in a window beside another program.
const shows = (ticket) => decodeURIComponent(location.href).split(/[/?&=#]/).includes(ticket);
const sees = (ticket) => !document.hidden && (document.hasFocus() || shows(ticket));
const questions = new Map();
if (channel) {
  channel.onmessage = ({ data }) => {
    if (data.ask && sees(data.ticket)) channel.postMessage({ seen: data.ask });
    else if (data.seen) questions.get(data.seen)?.();
  };
}

function seen(ticket) {
  if (sees(ticket) || !channel) return Promise.resolve(sees(ticket));
  const id = `${Date.now()}-${Math.random()}`;
  return new Promise((resolve) => {
    const done = (answer) => { questions.delete(id); resolve(answer); };
    questions.set(id, () => done(true));
    setTimeout(() => done(false), ASK_MS);
    channel.postMessage({ ask: id, ticket });
  });
}

const wanted = () => able && Notification.permission === "granted" && localStorage.getItem("notifications") === "on";

function open(ticket) {
  window.focus();
  if (!shows(ticket)) window.open(`/tickets/${encodeURIComponent(ticket)}`, `ticket-${ticket}`);
}

async function tell({ kind, ticket, data }) {
  if (await seen(ticket)) return;
  const body = data?.text || data?.title || "";
  try {
    const note = new Notification(`${ticket} ${WORDS[kind]}`, { body, tag: `ticket-${ticket}`, icon: usual });
    note.onclick = () => { note.close(); open(ticket); };
  } catch (error) {
    console.info("this browser shows no notifications of pages", error); // as Chrome on Android
  }
}

document.addEventListener("live", ({ detail }) => {
  if (detail.ticket && WORDS[detail.kind] && isLeading() && wanted()) tell(detail);
});

function reflect() {
  for (const box of document.querySelectorAll("[data-notify]")) { box.checked = wanted(); box.disabled = !able; box.dataset.told = ""; }
  const why = !able ? SECURE : Notification.permission === "denied" ? DENIED : "";
  for (const hint of document.querySelectorAll("[data-notify-hint]")) { hint.textContent = why; hint.hidden = !why; }
}

async function set(on) {
  if (!on) localStorage.setItem("notifications", "off");
  else if (!able) toast("No notifications here", { error: true, hint: SECURE });
  else if (await Notification.requestPermission() === "granted") localStorage.setItem("notifications", "on");
  else toast("No notifications were allowed", { error: true, hint: DENIED });
  reflect();
}

document.addEventListener("change", ({ target }) => { if (target.matches("[data-notify]")) set(target.checked); });
// Boxes that came with a part of the page; a setting is not read again for each card that is drawn.
const later = (root) => { if (within(root, "[data-notify]:not([data-told])").length) reflect(); };
document.addEventListener("htmx:after:swap", () => later(document));
document.addEventListener("refreshed", ({ detail }) => later(renewed(detail)));
addEventListener("storage", ({ key: name }) => { if (name === "notifications") reflect(); });
reflect();
key("", "Notify me when a ticket needs me", () => set(true), { group: "Settings", when: () => able && !wanted() });
key("", "Notify me no more", () => set(false), { group: "Settings", when: () => able && wanted() });
