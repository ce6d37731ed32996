// The board, kept as it is on the server: each entry of the feed brings the ticket's card.
const board = document.querySelector(".board");

function place(entry) {
  const old = document.getElementById(`card-${entry.ticket}`);
  const list = board.querySelector(`[data-column="${entry.state}"] .cards`);
  if (!list) { old?.remove(); return; }
  if (old && old.parentElement === list) { htmx.swap({ sourceElement: old, target: old, text: entry.card, swap: "outerMorph" }); return; }
  old?.remove();
  const holder = document.createElement("template");
  holder.innerHTML = entry.card;
  const card = holder.content.firstElementChild;
  const after = [...list.children].find((one) => Number(one.dataset.position) > entry.position);
  list.insertBefore(card, after || null);
  htmx.process(card);
}

document.addEventListener("live", ({ detail }) => {
  if (!detail.card) return;
  place(detail);
  const counts = detail.counts[board.dataset.project || ""] || {};
  for (const column of board.querySelectorAll("[data-column]")) column.querySelector(".number").textContent = counts[column.dataset.column] || 0;
});
