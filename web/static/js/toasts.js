// Short messages at the edge of the window, made here or sent by the server into #toasts (web/pages/toasts.py).
//
//   toast("WEB-1 assigned to coder", { undo: { url: "/tickets/WEB-1/withdraw", fields: {} } })
//   toast("The ticket was not moved", { error: true, hint: "It has been merged meanwhile." })
//   toast("It has been answered", { error: true, hint: "You had written:", words: "Keep it" })
//   toast("WEB-1 needs you", { link: { url: "/tickets/WEB-1", text: "Open" } })
//
// One goes by itself after a while, but not under the pointer, with the focus in it, or in a tab that nobody looks at; errors stay
// until they are dismissed. `z` undoes what the newest one offers to undo.
import { key } from "./keys.js";

const SECONDS = 6;
const UNDO_SECONDS = 12;
const MOST = 4;
const region = document.getElementById("toasts");
let before = null; // where the focus was before it came into the messages

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function undoForm({ url, fields = {} }) {
  const form = element("form", "toast-undo");
  form.method = "post";
  form.action = url;
  for (const [name, value] of Object.entries(fields)) {
    const field = element("input", "");
    Object.assign(field, { type: "hidden", name, value });
    form.append(field);
  }
  form.append(element("button", "small", "Undo"));
  return form;
}

function dismissButton() {
  const button = element("button", "icon small toast-dismiss");
  button.type = "button";
  button.title = "Dismiss";
  button.setAttribute("aria-label", "Dismiss");
  button.append("×");
  return button;
}

export function toast(text, { undo = null, error = false, hint = "", link = null, words: typed = "" } = {}) {
  const one = element("div", error ? "toast toast-error" : "toast");
  if (error) one.setAttribute("role", "alert");
  const words = element("div", "toast-words");
  words.append(element("p", "", text));
  if (hint) words.append(element("p", "quiet", hint));
  if (typed) words.append(element("pre", "toast-typed", typed));
  one.append(words);
  if (link) { const to = element("a", "button small", link.text); to.href = link.url; one.append(to); }
  if (undo) one.append(undoForm(undo));
  region.append(one);
  return one;
}

export function dismiss(one) {
  const focused = one.contains(document.activeElement);
  const next = one.nextElementSibling || one.previousElementSibling;
  one.remove();
  if (!focused) return;
  if (next) next.querySelector("button")?.focus();
  else (before?.isConnected ? before : document.getElementById("main"))?.focus();
}

const held = (one) => document.hidden || one.matches(":hover, :focus-within") || one.querySelector("[aria-busy=true]");

function age(one) {
  let left = one.querySelector(".toast-undo") ? UNDO_SECONDS : SECONDS;
  const timer = setInterval(() => {
    if (!one.isConnected) clearInterval(timer);
    else if (!held(one) && --left <= 0) { clearInterval(timer); dismiss(one); }
  }, 1000);
}

function adopt(one) {
  if (!one.querySelector(".toast-dismiss")) one.append(dismissButton());
  if (!one.matches(".toast-error")) age(one);
  const all = [...region.querySelectorAll(":scope > .toast")];
  for (const old of all.slice(0, Math.max(0, all.length - MOST))) if (!old.matches(":focus-within")) old.remove();
}

// What an answer in HTML says went wrong: a toast's, a refused form's or a page's message and hint; nothing of it runs.
export function told(text) {
  const page = new DOMParser().parseFromString(text.replace(/<(\/?)hx-partial/gi, "<$1div"), "text/html");
  const place = page.querySelector(".toast-error, .problem, [role=alert]");
  const lines = [...(place?.querySelectorAll("h1, p") || [])].map((line) => line.textContent.trim()).filter(Boolean);
  return { message: lines[0] || "", hint: lines[1] || "", toasts: [...page.querySelectorAll(".toast")] };
}

async function result(answer) {
  const { message, hint, toasts } = told(await answer.text());
  if (toasts.length) for (const one of toasts) region.append(document.importNode(one, true));
  else if (answer.ok) toast("Undone");
  else toast(message || `It could not be undone: the answer was ${answer.status}`, { error: true, hint });
}

async function undo(form) {
  const button = form.querySelector("button");
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  const one = form.closest(".toast");
  try {
    const body = new URLSearchParams(new FormData(form));
    await result(await fetch(form.getAttribute("action"), { method: "POST", body, headers: { "HX-Request": "true", Accept: "text/html" } }));
    dismiss(one);
  } catch {
    button.removeAttribute("aria-busy");
    toast("It could not be undone: the site does not answer", { error: true, hint: "Try again when it is connected." });
  }
}

if (region) {
  new MutationObserver((records) => {
    for (const { addedNodes } of records) for (const node of addedNodes) if (node.matches?.(".toast")) adopt(node);
  }).observe(region, { childList: true });
  for (const one of region.querySelectorAll(":scope > .toast")) adopt(one);
  region.addEventListener("submit", (event) => { event.preventDefault(); undo(event.target); });
  region.addEventListener("click", ({ target }) => { const button = target.closest(".toast-dismiss"); if (button) dismiss(button.closest(".toast")); });
  region.addEventListener("focusin", ({ relatedTarget }) => { if (relatedTarget && !region.contains(relatedTarget)) before = relatedTarget; });
  const newest = () => [...region.querySelectorAll(".toast-undo")].at(-1);
  key("z", "Undo the last action", () => newest().requestSubmit(), { when: () => Boolean(newest()) });
  key("Escape", "Dismiss the message", () => dismiss(document.activeElement.closest(".toast")), {
    when: () => region.contains(document.activeElement),
  });
}
