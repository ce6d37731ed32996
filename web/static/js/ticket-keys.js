// Keys of a ticket's page. Beside the board they work while the focus is in the ticket; the board has its own.
import { key } from "./keys.js";
import { beside, open } from "./ticket-tabs.js";

const GROUP = "Ticket";
const pane = () => document.getElementById("part-pane");
const here = () => { const one = pane(); return one && (!beside(one) || one.contains(document.activeElement)); };
const marked = (combo) => [...(pane()?.querySelectorAll(`[data-key="${CSS.escape(combo)}"]`) || [])].find((one) => one.checkVisibility());

function use(element) {
  if (element.matches("details")) { element.open = !element.open; return; }
  if (element.matches("select, textarea, input")) { element.focus(); return; }
  (element.matches("a, button") ? element : element.querySelector("button")).click();
}

const MARKED = {
  e: "Edit the title", l: "Edit the labels", d: "Edit the description", a: "Choose the agent to assign to", y: "Copy the branch's name",
  "Shift+S": "Stop the run", "Shift+W": "Take it back to the backlog", "Shift+T": "Accept it as it is", "Shift+O": "Reopen the ticket",
  "Shift+X": "Cancel the ticket", "Shift+D": "Discard the work",
};
for (const [combo, words] of Object.entries(MARKED)) {
  key(combo, words, () => use(marked(combo)), { group: GROUP, when: () => here() && Boolean(marked(combo)) });
}

const tabs = () => [...pane().querySelectorAll(".ticket-tabs a")];
const go = (link) => { open(pane(), new URL(link.href)); if (pane().contains(document.activeElement)) link.focus(); };
["Conversation", "Transcript", "Changes", "Checks", "Runs"].forEach((words, at) => {
  key(String(at + 1), `Tab ${words}`, () => go(tabs()[at]), { group: GROUP, when: () => Boolean(pane()) });
});

function step(by) {
  const all = tabs();
  go(all[(all.findIndex((link) => link.hasAttribute("aria-current")) + by + all.length) % all.length]);
}
key("[", "Tab before", () => step(-1), { group: GROUP, when: () => Boolean(pane()) });
key("]", "Next tab", () => step(1), { group: GROUP, when: () => Boolean(pane()) });

async function reply() {
  const answer = document.getElementById("answer-text");
  if (!answer?.checkVisibility()) await open(pane(), new URL(`/tickets/${pane().dataset.key}`, location.href));
  const field = [answer, document.getElementById("comment-body")].find((one) => one?.checkVisibility());
  field?.scrollIntoView({ block: "center" });
  field?.focus();
}
key("r", "Answer, or comment", reply, { group: GROUP, when: here });
