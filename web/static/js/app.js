// What every page needs. Pages work without it.
import { listen } from "./live.js";
import "./refresh.js";
import "./time.js";

const status = document.getElementById("live");
let lost = false;

function say(text) {
  if (status.textContent !== text) status.textContent = text;
}

document.addEventListener("live:status", ({ detail }) => {
  if (detail === "lost") { lost = true; say("Not connected; trying again."); }
  else if (lost) { lost = false; say("Connected again."); }
});
document.addEventListener("live", ({ detail: { kind, ticket } }) => {
  const told = { "ticket.blocked": "needs you", "ticket.review": "is ready for review", "ticket.done": "is done" }[kind];
  if (told && ticket) say(`${ticket} ${told}.`);
});
listen();
