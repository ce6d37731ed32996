// What somebody has typed is there again after a login that ran out, a reload, or the way back from a page that did not take it.
// Markdown fields with a name for their draft, and the dialog of a new ticket, keep theirs themselves. Hidden fields that say what a form
// was begun on (`data-began`) come back with it, so that what has changed since is still noticed.
//
// Kept when the page is left, for this tab. It is put back where it is known not to have been sent: the login stood in the way
// ([data-unsent] on the page that asks for it), the reader reloads or goes back, or a link leads to a page with the same form, as from
// a ticket beside the board to its own page. After any other way to the page it may have been sent.
import { plain } from "./clicks.js";
import { dirty } from "./fields.js";
import { read, write } from "./kept.js";
import { say } from "./say.js";
import { toast } from "./toasts.js";

const KEPT = "unsent";
const NOT_HERE = "#new-form, #bulk, #person-menu, form[action='/login']";
const FIELDS = "textarea, select, input:not([type=hidden], [type=password], [type=file], [type=submit], [type=button], [type=search])";
let login = false;
let leaving = false;
let towards = ""; // where the link leads that was followed last
let waiting = []; // what has no field yet: its part of the page may still come

const own = (field) => !field.closest("md-editor[data-draft]");
const forms = () => [...document.querySelectorAll("form[method=post]")].filter((form) => !form.matches(NOT_HERE) && !form.closest(NOT_HERE));

const fieldsOf = (form) => [...form.elements].filter((field) => field.matches(FIELDS) && field.name && own(field));
const typed = (part) => forms().filter((form) => part.contains(form))
  .flatMap((form) => fieldsOf(form).filter((field) => dirty(field) || (form.querySelector(".problem") && field.value)));
const noted = (field) => ({
  form: field.form.getAttribute("action"), name: field.name, value: field.value, checked: field.checked ?? null,
  began: [...field.form.querySelectorAll("[data-began]")].map(({ name, value }) => [name, value]),
});

// A part of the page is about to be taken away: what was typed in it is there again when its forms are. True where words were.
export function setAside(part) {
  const fields = typed(part);
  waiting.push(...fields.map(noted));
  return fields.some((field) => field.matches("textarea, input:not([type=checkbox], [type=radio])") && field.value.trim());
}

function keep() {
  const fields = [...typed(document).map(noted), ...waiting];
  if (fields.length) write(KEPT, { path: location.pathname, towards, known: login, fields });
}

function fieldOf(one) {
  for (const form of forms()) {
    if (form.getAttribute("action") !== one.form) continue;
    const found = fieldsOf(form).find((field) => field.name === one.name &&
      (!field.matches("[type=checkbox], [type=radio]") || field.value === one.value));
    if (found) return found;
  }
  return null;
}

function put(field, one) {
  if (field.matches("[type=checkbox], [type=radio]")) field.checked = one.checked;
  else if (!dirty(field)) field.value = one.value;
  for (const [name, value] of one.began) { const began = field.form.elements[name]; if (began) began.value = value; }
  for (let fold = field.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

function restore() {
  const before = waiting.length;
  waiting = waiting.filter((one) => {
    const field = fieldOf(one);
    if (field) put(field, one);
    return !field;
  });
  return waiting.length < before;
}

function begin() {
  const kept = read(KEPT);
  if (!kept) return;
  if (document.querySelector("[data-unsent]")) { write(KEPT, { ...kept, known: true }); return; }
  const again = ["reload", "back_forward"].includes(performance.getEntriesByType("navigation")[0]?.type);
  const followed = kept.towards === location.pathname;
  if (kept.path !== location.pathname && !followed) { if (!kept.known) write(KEPT, null); return; }
  write(KEPT, null);
  if (!kept.known && !again && !followed) return;
  waiting = kept.fields;
  if (restore() && kept.known) { toast("What you had typed is here again", { hint: "It has not been sent." }); say("What you had typed is here again."); }
}

begin();
for (const event of ["htmx:after:swap", "refreshed"]) document.addEventListener(event, () => { if (waiting.length) restore(); });
document.addEventListener("live:status", ({ detail }) => { login = detail === "login"; });
addEventListener("pagehide", () => { if (!leaving) keep(); });
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  const here = link && !link.target && link.origin === location.origin && plain(event);
  towards = here ? link.pathname : "";
});
// The next one to log in here is somebody else.
document.addEventListener("submit", ({ target }) => {
  towards = "";
  if (target.getAttribute("action") !== "/logout") return;
  leaving = true;
  try { sessionStorage.clear(); } catch (error) { console.info("this browser keeps nothing", error); }
});
