// Says things to those who do not see the screen: once, politely, and not in floods. What comes close together is told together.
const GATHER_MS = 600;
const PAUSE_MS = 3000;
const WORDS = {
  "ticket.blocked": "needs you", "ticket.review": "is ready for review", "ticket.done": "is done", "ticket.running": "is running",
  "ticket.queued": "is queued", "ticket.backlog": "is in the backlog", "ticket.cancelled": "is cancelled",
};
const LOUD = ["ticket.blocked", "ticket.review"];
const region = document.getElementById("said");
let texts = [];
let moved = new Map();
let timer = 0;
let spoken = 0;

function sentences() {
  const tickets = [...moved].filter(([key, kind]) => LOUD.includes(kind) || shown(key));
  if (tickets.length <= 2) return tickets.map(([key, kind]) => `${key} ${WORDS[kind]}.`);
  const asking = tickets.filter(([, kind]) => LOUD.includes(kind)).map(([key]) => key);
  const rest = asking.length > 3 ? `${asking.length} wait for you.` : asking.length ? `${asking.join(", ")} wait${asking.length === 1 ? "s" : ""} for you.` : "";
  return [`${tickets.length} tickets moved.`, rest];
}

function speak() {
  const text = [...texts, ...sentences()].filter(Boolean).join(" ");
  [texts, moved, timer] = [[], new Map(), 0];
  if (!text) return; // all of it is about tickets that this page does not show
  spoken = Date.now();
  region.replaceChildren(text);
}

function plan() {
  timer ||= setTimeout(speak, Math.max(GATHER_MS, spoken + PAUSE_MS - Date.now()));
}

export function say(text) {
  texts.push(text);
  plan();
}

const shown = (key) => document.querySelector(`#card-${CSS.escape(key)}, [data-key="${CSS.escape(key)}"], [data-refresh-ticket="${CSS.escape(key)}"]`);

document.addEventListener("live", ({ detail: { kind, ticket } }) => {
  if (!ticket || !WORDS[kind]) return;
  moved.set(ticket, kind);
  plan();
});
