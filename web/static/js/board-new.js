// A new ticket in a dialog of the board (`c`, which clicks the link at the top), or on its own page; what is typed is kept in this tab until it is filed.
import { read, write } from "./kept.js";
import { loggedOut } from "./requests.js";
import { toast, told } from "./toasts.js";

const KEPT = "draft:new-ticket:fields";
const FIELDS = ["title", "project", "agent", "labels"];
const dialog = document.getElementById("new-dialog");
const board = document.getElementById("board");
let begun = {}; // what the template gave

const form = () => document.getElementById("new-form");

const stored = () => read(KEPT) || {};
const store = (values) => write(KEPT, values);

function restore() {
  const fields = form()?.elements;
  if (!fields || form().querySelector(".problem")) return;
  const values = stored();
  for (const name of FIELDS) {
    if (!values[name] || (name !== "project" && fields[name].value) || (name === "project" && fields.project.dataset.given)) continue;
    fields[name].value = values[name];
  }
  if (values.project && fields.project.value === values.project) templates();
}

const save = () => store(Object.fromEntries(FIELDS.map((name) => [name, form().elements[name].value])));

async function fetchText(url) {
  const answer = await fetch(url, { headers: { "HX-Request": "true", Accept: "text/html" } });
  return { ok: answer.ok, text: await answer.text() };
}

function parsed(text) {
  return new DOMParser().parseFromString(text, "text/html");
}

async function templates() {
  const project = form().elements.project.value;
  form().querySelector("md-editor").dataset.project = project;
  const { ok, text } = await fetchText(`/tickets/new?${new URLSearchParams({ project, part: "templates" })}`);
  const part = document.getElementById("part-templates");
  if (ok && part && form().elements.project.value === project) await htmx.swap({ sourceElement: part, target: part, text, swap: "outerHTML" });
}

// A template fills what is empty, or what another one gave; what somebody wrote can be had back.
async function begin(link) {
  const { ok, text } = await fetchText(`${link.getAttribute("href")}&part=new`);
  if (!ok) return;
  const fields = form().elements;
  const given = parsed(text).getElementById("new-form").elements;
  const before = Object.fromEntries(["title", "labels", "body"].map((name) => [name, fields[name].value]));
  for (const name of ["title", "labels", "body"]) set(fields[name], given[name].value || before[name]);
  for (const one of document.querySelectorAll("[data-template][aria-current]")) one.removeAttribute("aria-current");
  link.setAttribute("aria-current", "true");
  if (Object.keys(before).some((name) => before[name] && before[name] !== (begun[name] || "") && before[name] !== fields[name].value)) offer(before);
  begun = Object.fromEntries(["title", "labels", "body"].map((name) => [name, fields[name].value]));
  fields.title.focus();
}

function set(field, value) {
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

function offer(before) {
  document.getElementById("put-back")?.remove();
  const button = document.createElement("button");
  Object.assign(button, { type: "button", id: "put-back", className: "small", textContent: "Put back what I wrote" });
  button.addEventListener("click", () => {
    for (const [name, value] of Object.entries(before)) set(form().elements[name], value);
    button.remove();
    form().elements.title.focus();
  });
  document.querySelector("#part-templates p").append(button);
}

// Labels are completed one by one: the list offers what was typed so far, and one label more.
function complete(field) {
  const list = document.getElementById("new-labels-list");
  list.known ??= [...list.options].map((option) => option.value);
  const typed = field.value.split(",");
  const so = typed.slice(0, -1).map((label) => label.trim()).filter(Boolean);
  const prefix = so.length ? `${so.join(", ")}, ` : "";
  const options = list.known.filter((label) => !so.includes(label)).map((label) => {
    const option = document.createElement("option");
    option.value = prefix + label;
    return option;
  });
  list.replaceChildren(...options);
}

// The editor forgets its draft when the form is sent; where it was not taken, the draft is made again.
const keep = () => form()?.elements.body.dispatchEvent(new Event("input", { bubbles: true }));

async function file(event) {
  event.preventDefault();
  const button = document.getElementById("new-go");
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  let answer;
  try {
    answer = await fetch("/tickets", { method: "POST", body: new URLSearchParams(new FormData(form())), headers: { "HX-Request": "true", Accept: "text/html" } });
  } catch {
    toast("The site does not answer", { error: true, hint: "What you wrote is still here: try again when it is connected." });
    keep();
    return;
  } finally {
    button.removeAttribute("aria-busy");
  }
  const text = await answer.text();
  if (answer.status === 401) {
    loggedOut("The ticket is not filed; what you wrote is kept.");
    keep();
    return;
  }
  if (answer.ok) { store(null); filed(answer.headers.get("X-Ticket"), text); return; }
  keep();
  if (/id="part-new"/.test(text)) {
    const part = document.getElementById("part-new");
    await htmx.swap({ sourceElement: part, target: part, text, swap: "outerHTML" });
    (form().querySelector("[aria-invalid=true]") || form().elements.title).focus();
  } else {
    const { message, hint } = told(text);
    toast(message || `The site answered with error ${answer.status}`, { error: true, hint });
  }
}

async function filed(name, text) {
  if (!board) { location.assign(`/tickets/${name}`); return; }
  dialog.dataset.key = name;
  dialog.close();
  const region = document.getElementById("toasts");
  await htmx.swap({ sourceElement: region, target: region, text, swap: "none" });
}

document.addEventListener("submit", (event) => { if (event.target.id === "new-form") file(event); });
document.addEventListener("input", ({ target }) => {
  if (!target.closest?.("#new-form")) return;
  if (target.name === "labels") complete(target);
  if (FIELDS.includes(target.name)) save();
});
document.addEventListener("focusin", ({ target }) => { if (target.id === "new-labels") complete(target); });
document.addEventListener("change", ({ target }) => { if (target.id === "new-project") templates(); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing || event.defaultPrevented) return;
  if (!event.target.closest?.("#new-form")) return;
  event.preventDefault();
  form().requestSubmit();
});
document.addEventListener("click", (event) => {
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const link = event.target.closest?.("a[data-template]");
  if (link) { event.preventDefault(); begin(link); return; }
  if (!board || !event.target.closest?.("#new-ticket, a[data-new]")) return;
  event.preventDefault();
  open();
});

export async function open() {
  const { open: show } = await import("./board-dialog.js");
  const project = new URLSearchParams(location.search).get("project") || "";
  begun = {};
  await show(dialog, `/tickets/new?${new URLSearchParams({ part: "new", project })}`, {
    shown: () => { if (project && form()) form().elements.project.dataset.given = "true"; restore(); form()?.elements.title.focus(); },
  });
}

if (!board) {
  restore();
  document.querySelector("#part-new [data-close]")?.remove();
}
