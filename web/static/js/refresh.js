// Parts of a page that are fetched again when something happens, and morphed in place:
//   <section id="part-head" data-refresh="/tickets/WEB-1?part=head" data-refresh-on="ticket. run." data-refresh-ticket="WEB-1">
// `data-refresh-on` are beginnings of kinds (all without it). A form that somebody types in, or has typed in, is left alone.
const QUIET_MS = 30; // after an event, for those that come with it
const PAUSE_MS = 400; // between two fetches of one part
const waiting = new WeakMap();
const fetched = new WeakMap();

function concerns(part, entry) {
  const { refreshOn, refreshTicket, refreshProject } = part.dataset;
  if (refreshTicket && entry.ticket !== refreshTicket) return false;
  if (refreshProject && entry.project !== refreshProject) return false;
  return !refreshOn || refreshOn.split(" ").some((kind) => entry.kind.startsWith(kind));
}

export function typedIn(form) {
  if (form.querySelector(".problem")) return true; // a refused form: what was typed stands there as its default
  if (form.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) return true;
  for (const field of form.querySelectorAll("input, textarea, select")) {
    if (field.matches("[type=checkbox], [type=radio]")) { if (field.checked !== field.defaultChecked) return true; }
    else if (field.matches("select")) {
      if ([...field.options].some((one, at) => one.selected !== (one.defaultSelected || (at === 0 && !field.querySelector("option[selected]"))))) return true;
    } else if (field.type !== "hidden" && field.value !== field.defaultValue) return true;
  }
  return false;
}

// What the reader is in the middle of stays as it is while `swap` runs.
export async function keeping(part, swap) {
  const kept = [...part.querySelectorAll("form")].filter(typedIn);
  for (const form of kept) form.setAttribute("hx-morph-skip", "");
  try { await swap(); } finally { for (const form of kept) form.removeAttribute("hx-morph-skip"); }
}

export async function refresh(part) {
  fetched.set(part, Date.now());
  const answer = await fetch(part.dataset.refresh, { headers: { "HX-Request": "true", Accept: "text/html" } });
  if (!answer.ok || !part.isConnected) return;
  const text = await answer.text();
  await keeping(part, () => htmx.swap({ sourceElement: part, target: part, text, swap: "outerMorph" }));
  document.dispatchEvent(new CustomEvent("refreshed", { detail: part }));
}

export function soon(part) {
  if (waiting.has(part)) return;
  const delay = Math.max(QUIET_MS, (fetched.get(part) || 0) + PAUSE_MS - Date.now());
  waiting.set(part, setTimeout(() => {
    waiting.delete(part);
    refresh(part).catch((error) => console.warn("cannot refresh", part.id, error));
  }, delay));
}

const parts = () => document.querySelectorAll("[data-refresh]");
document.addEventListener("live", ({ detail }) => { for (const part of parts()) if (concerns(part, detail)) soon(part); });
document.addEventListener("live:behind", () => { for (const part of parts()) soon(part); });
