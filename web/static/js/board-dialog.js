// A native dialog that is filled by the server: its forms are posted from here, and a refusal stays in it.
import { get, mayAct, put } from "./board-parts.js";
import { loggedOut } from "./requests.js";
import { toast, told } from "./toasts.js";

const GONE = { error: true, hint: "Try again when it is connected." };
const left = new Map(); // what was written and not sent, by where it was to go: closing the dialog loses nothing
const place = (field) => `${field.form.getAttribute("action")} ${field.form.elements.to?.value} ${field.form.elements.blocker?.value}`;
const filling = new Set(); // dialogs whose next content is on its way

// The key of the card whose matter it is: where the focus goes back to, wherever the card is by then.
export async function open(dialog, url, { key = "", shown = () => {} } = {}) {
  if (!mayAct()) return;
  let answer;
  try { answer = await get(url); } catch { toast("The site does not answer", GONE); return; }
  if (answer.status === 401) { loggedOut(); return; }
  if (!answer.ok && !/id="part-/.test(answer.text)) {
    const { message, hint } = told(answer.text);
    toast(message || `The site answered with error ${answer.status}`, { error: true, hint });
    return;
  }
  await fill(dialog, answer.text, key);
  shown(dialog);
}

export async function fill(dialog, text, key = dialog.dataset.key || "") {
  dialog.dataset.key = key;
  filling.add(dialog);
  try { await put(dialog, text); } finally { filling.delete(dialog); }
  const field = dialog.querySelector("#move-text");
  if (field && !field.value) field.value = left.get(place(field)) || "";
  const title = dialog.querySelector("h1[id]");
  if (title) { dialog.setAttribute("aria-labelledby", title.id); dialog.removeAttribute("aria-label"); }
  if (!dialog.open) dialog.showModal();
  else (dialog.querySelector("[aria-invalid=true]") || dialog.querySelector("[autofocus]"))?.focus();
}

export function send(form, submitter, more = {}) {
  const body = new URLSearchParams(new FormData(form, submitter));
  if (more.keys) body.delete("key"); // the boxes of the cards belong to the form: all that are chosen are named in `keys`
  for (const [name, value] of Object.entries(more)) body.set(name, value);
  return post(form.getAttribute("action"), body, submitter || form.querySelector("button:not([type=button])"));
}

// Posts and says what came of it; the answer where there was one.
export async function post(url, body, button = null) {
  if (button?.getAttribute("aria-busy") === "true") return null;
  button?.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(url, { method: "POST", body, headers: { "HX-Request": "true", Accept: "text/html" } });
    const text = await answer.text();
    if (answer.status === 401 || (answer.redirected && new URL(answer.url).pathname === "/login")) {
      loggedOut();
      return null;
    }
    return { ok: answer.ok, status: answer.status, text, ticket: answer.headers.get("X-Ticket") || "" };
  } catch {
    toast("The site does not answer", { error: true, hint: "What you did may not have arrived: look before you try again." });
    return null;
  } finally {
    button?.removeAttribute("aria-busy");
  }
}

export function messages(text) {
  const region = document.getElementById("toasts");
  return put(region, text, "none");
}

export function complain(answer) {
  const { message, hint } = told(answer.text);
  toast(message || `The site answered with error ${answer.status}`, { error: true, hint });
}

for (const dialog of document.querySelectorAll("#move-dialog, #new-dialog")) {
  dialog.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) { event.preventDefault(); dialog.close(); }
  });
  // A press that begins outside and ends outside; not one that began as a selection of text within.
  let outside = false;
  dialog.addEventListener("pointerdown", (event) => { outside = event.target === dialog; });
  dialog.addEventListener("click", (event) => { if (event.target === dialog && outside && dialog.id === "move-dialog") dialog.close(); });
  dialog.addEventListener("close", () => {
    if (dialog.open || filling.has(dialog)) return; // browsers tell with the next frame, when it may have been opened anew
    const field = dialog.querySelector("#move-text");
    if (field) left.set(place(field), "taken" in field.form.dataset ? "" : field.value);
    const card = document.getElementById(`card-${dialog.dataset.key}`);
    // Where it was opened by a drag, there is nothing that the browser could give the focus back to.
    const lost = document.activeElement === document.body || dialog.contains(document.activeElement);
    dialog.replaceChildren();
    if (card && lost) card.querySelector(".card-title").focus();
  });
}
