// What stands between the hunks of a file, and can be shown: its lines are the same on both sides.
import { rows, library } from "./review-draw.js";
import { colourRows, highlighter, languageOf } from "./review-colour.js";

const STEP = 20;
const WHOLE = 40; // a gap that is shown at once

const endOf = (hunk, at) => hunk.lines.reduce((last, line) => line[at] ?? last, (at === 1 ? hunk.old : hunk.new) - 1);

// Before hunk `number`, or after the last where it is their count: the first and last new line, and old minus new.
function gapOf(diff, number) {
  const before = diff.hunks[number - 1];
  const next = diff.hunks[number];
  const from = before ? endOf(before, 2) + 1 : 1;
  const to = next ? next.new - 1 : diff.new_lines;
  const shift = next ? next.old - next.new : before ? endOf(before, 1) - endOf(before, 2) : 0;
  return { from, to, shift };
}

function button(words, act, label) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", className: "small plain", textContent: words });
  made.dataset.act = act;
  made.setAttribute("aria-label", label);
  return made;
}

function fillRow(row, gap, header, edge) {
  const cell = row.firstElementChild;
  cell.replaceChildren();
  const left = gap.to - gap.from + 1;
  if (left > 0) {
    const lines = `${left} ${left === 1 ? "line" : "lines"}`;
    if (left <= WHOLE) cell.append(button(`↕ ${lines}`, "more-all", `Show the ${lines} here`));
    else {
      if (edge !== "top") cell.append(button(`↓ ${STEP}`, "more-down", `Show ${STEP} lines more, from the top`));
      if (edge !== "end") cell.append(button(`↑ ${STEP}`, "more-up", `Show ${STEP} lines more, from the end`));
      cell.append(button(`↕ ${lines}`, "more-all", `Show all ${lines} here`));
    }
  }
  const where = document.createElement("span");
  where.textContent = (/^@@ .*? @@ ?(.*)$/.exec(header) || ["", ""])[1];
  cell.append(where);
  row.hidden = left <= 0 && !where.textContent && edge !== "middle";
}

function make(files, section, number, edge) {
  const { diff } = files.of(section);
  const row = document.createElement("tr");
  row.className = "gap";
  const cell = document.createElement("td");
  cell.colSpan = files.root.split ? 4 : 3;
  row.append(cell);
  row.gap = diff.new_lines ? gapOf(diff, number) : { from: 1, to: 0, shift: 0 };
  row.edge = edge;
  row.header = diff.hunks[number]?.header || "";
  row.hunk = number;
  fillRow(row, row.gap, row.header, edge);
  return row;
}

// Lines of a file as they are, at most a thousand.
export async function fetchLines(files, section, start, end, side = "new") {
  const query = new URLSearchParams({ file: section.dataset.file, ...files.root.range, start, end, side });
  const answer = await fetch(`/api/v1/tickets/${files.root.dataset.key}/diff/lines?${query}`);
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  return (await answer.json()).lines;
}

export const gaps = {
  row: (files, section, number) => make(files, section, number, number === 0 ? "top" : "middle"),

  last(files, section) {
    const { diff } = files.of(section);
    if (!diff.hunks.length || !diff.new_lines) return null;
    const row = make(files, section, diff.hunks.length, "end");
    if (row.hidden) return null;
    const table = section.querySelector("table.diff:last-of-type").cloneNode(false);
    const columns = section.querySelector("table.diff colgroup").cloneNode(true);
    const body = document.createElement("tbody");
    body.append(row);
    table.append(columns, body);
    const holder = document.createElement("div");
    holder.className = "piece";
    holder.append(table);
    return holder;
  },

  // Show lines of a gap: "down" from its top, "up" from its end, or "all"; gives whether there were any.
  async show(files, row, how) {
    const section = row.closest(".file");
    const { gap } = row;
    let { from, to } = gap;
    if (how === "down") to = Math.min(to, from + STEP - 1);
    if (how === "up") from = Math.max(from, to - STEP + 1);
    to = Math.min(to, from + 999);
    if (from > to) return false;
    const texts = await fetchLines(files, section, from, to);
    const lines = texts.map((text, at) => ["same", from + at + gap.shift, from + at, text]);
    const Diff2HtmlUI = await library();
    const made = rows(Diff2HtmlUI, lines, files.root.split, files.of(section).index);
    const drawn = [...made.children];
    if (from === gap.from && how !== "up") { row.before(made); gap.from = to + 1; } else { row.after(made); gap.to = from - 1; }
    fillRow(row, gap, gap.from > gap.to ? "" : row.header, row.edge);
    if (gap.from > gap.to) row.hidden = true;
    const hljs = highlighter(Diff2HtmlUI);
    const language = languageOf(hljs, section.dataset.path);
    if (language) colourRows(hljs, language, drawn);
    return drawn[0] || false;
  },

  // Make a line visible that no hunk shows; gives whether it is there now.
  async reveal(files, section, side, line) {
    for (const row of section.querySelectorAll("tr.gap")) {
      const wanted = side === "old" ? line - row.gap.shift : line;
      if (wanted < row.gap.from || wanted > row.gap.to) continue;
      const down = wanted - row.gap.from < row.gap.to - wanted;
      while (wanted >= row.gap.from && wanted <= row.gap.to) {
        if (!await gaps.show(files, row, row.gap.to - row.gap.from < 200 ? "all" : down ? "down" : "up")) return false;
      }
      return true;
    }
    return false;
  },
};
