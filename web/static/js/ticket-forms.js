// Forms of a ticket's page: what is edited in its place, and questions before what cannot be taken back.
import { plain } from "./clicks.js";
import { paneOf } from "./ticket-tabs.js";

const FIELD = "input:not([type=hidden]), textarea, select";

function close(details) {
  const inside = details.contains(document.activeElement);
  details.querySelector("form")?.reset();
  details.open = false;
  if (inside) details.querySelector("summary").focus();
}

document.addEventListener("toggle", (event) => {
  const details = event.target;
  if (!details.open || !paneOf(details) || !details.matches("[data-key]")) return;
  const field = details.querySelector(FIELD);
  field?.focus();
  if (field?.matches("input")) field.select();
}, true);

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-close]");
  if (!button) return;
  const within = button.closest("dialog.question, details");
  if (!within) return;
  event.preventDefault();
  if (within.matches("dialog")) within.close(); else close(within);
});

document.addEventListener("keydown", (event) => {
  const details = event.key === "Escape" && !event.defaultPrevented && event.target.closest?.("details[data-key][open]");
  if (!details || !paneOf(details)) return;
  event.preventDefault();
  event.stopPropagation();
  close(details);
}, true);

// The parts that were put in the place of the form have none of its focus.
document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
  const then = ctx.sourceElement?.dataset?.then;
  if (!then || !ctx.response) return;
  if (document.activeElement && document.activeElement !== document.body && document.activeElement.isConnected) return;
  // Refused: to the field of the form that says why.
  if (ctx.response.status >= 400) document.querySelector(".ticket form:has(.problem)")?.querySelector(FIELD)?.focus();
  else document.querySelector(then)?.focus({ preventScroll: true });
});

// <a data-ask href="/tickets/WEB-1/cancel">: a page that asks; with scripts its question stands in a dialog.
async function ask(link) {
  const asked = new URL(link.href);
  asked.searchParams.set("part", "question");
  const answer = await fetch(asked, { headers: { "HX-Request": "true", Accept: "text/html" } });
  if (!answer.ok) { location.assign(link.href); return; }
  const dialog = document.createElement("dialog");
  dialog.className = "question";
  dialog.innerHTML = await answer.text(); // the server's own, as a page is
  dialog.setAttribute("aria-labelledby", dialog.querySelector("h1, h2")?.id || "");
  for (const form of dialog.querySelectorAll("form[data-scripted]")) {
    form.setAttribute("hx-post", form.getAttribute("action"));
    form.setAttribute("hx-target", "#part-pane");
    form.setAttribute("hx-swap", "none");
  }
  dialog.addEventListener("htmx:finally:request", () => dialog.close());
  dialog.addEventListener("close", () => { dialog.remove(); (link.isConnected ? link : document.getElementById("part-actions"))?.focus(); });
  (paneOf(link) || document.body).append(dialog);
  htmx.process(dialog);
  dialog.showModal();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-ask]");
  if (!link || event.defaultPrevented || !plain(event)) return;
  event.preventDefault();
  ask(link).catch((error) => { console.warn("the question could not be shown here", error); location.assign(link.href); });
});
