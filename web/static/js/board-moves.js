// Moves: asked for by drag, key or menu, done by the server, which says what came of it and how to undo it.
import { complain, fill, messages, open, post, send } from "./board-dialog.js";
import { cardOf, filterQuery, mayAct, meaning } from "./board-parts.js";
import { caughtUp } from "./board-live.js";
import { homeless } from "./refresh.js";
import { toast } from "./toasts.js";

const dialog = document.getElementById("move-dialog");
const ASKS = ["answer", "words", "confirm"];

const address = (key) => `/tickets/${encodeURIComponent(key)}/move`;

export function menu(key) {
  return open(dialog, `${address(key)}?${new URLSearchParams({ part: "move", back: filterQuery() })}`, { key });
}

function ask(key, to, place) {
  const query = new URLSearchParams({ part: "move", to, back: filterQuery(), ...place });
  return open(dialog, `${address(key)}?${query}`, { key });
}

// Moves a ticket to a column, below `after` or above `before` there. True where it was done; else the card is to go back.
export async function move(key, to, { after = "", before = "" } = {}) {
  const from = cardOf(key)?.dataset.state;
  if (!from || !mayAct()) return false;
  const what = meaning(from, to);
  if (what.refused) { toast(`${key} stays where it is`, { error: true, hint: what.refused }); return false; }
  const place = { ...(after && { after }), ...(before && { before }) };
  if (ASKS.includes(what.needs)) { ask(key, to, place); return false; }
  const answer = await post(address(key), new URLSearchParams({ to, back: filterQuery(), ...place }));
  return done(answer, key);
}

async function done(answer, key) {
  if (!answer) return false;
  if (answer.ok) { await messages(answer.text); caughtUp(); return true; }
  // What was missing, as the agent, can be given in the dialog, and what comes first is shown there; what cannot be done is told.
  if ((answer.status === 422 && /<form[^>]*data-move/.test(answer.text)) || answer.text.includes("data-accept-first")) await fill(dialog, answer.text, key);
  else complain(answer);
  return false;
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-move]");
  if (!form) return;
  event.preventDefault();
  const within = dialog.contains(form);
  const key = within ? dialog.dataset.key : form.closest(".card").dataset.key;
  const answer = await send(form, event.submitter, within ? {} : { back: filterQuery() });
  if (!answer) return;
  if (answer.ok) {
    form.reset();
    form.dataset.taken = "";
    if (within) dialog.close();
    await done(answer, key);
  } else if (within) await fill(dialog, answer.text, key);
  else {
    await done(answer, key);
    if (!form.isConnected) homeless(form);
  }
});

document.addEventListener("click", (event) => {
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const link = event.target.closest?.(".card-menu, a[data-move-to]");
  if (!link || !mayAct()) return;
  event.preventDefault();
  const key = dialog.contains(link) ? dialog.dataset.key : link.closest(".card").dataset.key;
  const url = new URL(link.href);
  url.searchParams.set("part", "move");
  if (!url.searchParams.get("back")) url.searchParams.set("back", filterQuery());
  open(dialog, url.pathname + url.search, { key });
});
