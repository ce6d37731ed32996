// What every request of htmx has: a button that shows that it works and takes no second click, and a failure that is told.
import { toast, told } from "./toasts.js";

const running = new Map(); // form or element -> the button that shows it

function buttonOf(source, submitter) {
  if (submitter) return submitter;
  return source.matches?.("button, .button") ? source : source.matches?.("form") ? source.querySelector("button:not([type=button])") : null;
}

function begin(source, submitter) {
  for (const old of [...running.keys()]) if (!old.isConnected) running.delete(old);
  const button = buttonOf(source, submitter);
  running.set(source, button);
  source.setAttribute("aria-busy", "true");
  button?.setAttribute("aria-busy", "true");
}

function end(source) {
  source.removeAttribute("aria-busy");
  running.get(source)?.removeAttribute("aria-busy");
  running.delete(source);
}

// A second press while the first is under way is no second request. Fields that search as one types send again and again: those
// are requests by GET.
addEventListener("submit", (event) => {
  if (event.target.method === "get" || !running.has(event.target)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);
addEventListener("click", (event) => {
  const button = event.target.closest?.("button[aria-busy=true], .button[aria-busy=true]");
  if (button) { event.preventDefault(); event.stopImmediatePropagation(); }
}, true);

// A form that is sent without htmx: the page goes, and comes anew.
addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  setTimeout(() => { if (!event.defaultPrevented) begin(form, event.submitter); });
});
addEventListener("pageshow", () => { for (const source of [...running.keys()]) end(source); });

const changes = (ctx) => ctx.request.method !== "GET";
document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => { if (changes(ctx)) begin(ctx.sourceElement, ctx.request.submitter); });
document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => { if (running.has(ctx.sourceElement)) end(ctx.sourceElement); });

// An answer that is a whole page is not put into a part of this one: a page that was led to is opened, an error is told.
const whole = (text) => /^\s*<(!doctype|html)\b/i.test(text);

document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  const { raw, status } = ctx.response;
  if (status === 401 || (raw.redirected && new URL(raw.url).pathname === "/login")) {
    event.preventDefault();
    loggedOut();
  } else if (status >= 400 && !ctx.hx.retarget && (whole(ctx.text) || !ctx.text.trim())) {
    event.preventDefault();
    const { message, hint } = told(ctx.text);
    toast(message || `The site answered with error ${status}`, { error: true, hint: hint || "Try again; the site's log has more." });
  } else if (status < 400 && whole(ctx.text) && ctx.target !== document.body && !ctx.select) {
    event.preventDefault();
    if (raw.url === location.href) location.reload(); else location.assign(raw.url);
  }
});

document.addEventListener("htmx:error", ({ detail: { ctx, error } }) => {
  if (error?.name === "AbortError" && ctx?.request.signal.reason !== "timeout") return;
  if (ctx?.response) { toast("The answer could not be shown", { error: true, hint: "Reload the page." }); console.error(error); return; }
  const late = ctx?.request.signal.reason === "timeout";
  const hint = ctx && changes(ctx) ? "What you sent may not have arrived: look before you try again." : "Try again.";
  toast(late ? "The site took too long to answer" : "The site does not answer", { error: true, hint });
});

// An answer was 401: told with the way back to where the reader is, once.
export function loggedOut(hint = "Nothing was changed.") {
  document.dispatchEvent(new CustomEvent("live:status", { detail: "login" }));
  for (const old of document.querySelectorAll(".toast-login")) old.remove();
  toast("You are no longer logged in", { error: true, hint, link: { url: loginPath(), text: "Log in again" } }).classList.add("toast-login");
}

export function loginPath() {
  return `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
}
