// A file's hunks as tables. diff2html pairs the lines and finds what differs within them; the rows are made here, of text alone:
// its templates are replaced by functions that take its parameters down, so that nothing of a repository's is ever read as HTML.
import { append, fill, marksOf, sensible } from "./review-text.js";

const PIECE = 250; // lines that are drawn at once
const CONFIG = { drawFileList: false, matching: "lines", diffStyle: "word", matchingMaxComparisons: 900, maxLineSizeInBlockForComparison: 160, maxLineLengthHighlight: 800 };
const TYPES = { add: "insert", del: "delete", same: "context" };
let loading = null;

// The library, loaded at its first use.
export function library() {
  loading ||= new Promise((done, fail) => {
    if (window.Diff2HtmlUI) { done(window.Diff2HtmlUI); return; }
    const script = document.createElement("script");
    script.src = new URL("../vendor/diff2html.js", import.meta.url).href;
    script.onload = () => done(window.Diff2HtmlUI);
    script.onerror = () => { loading = null; fail(new Error("the script that draws diffs did not load")); };
    document.head.append(script);
  });
  return loading;
}

// Hunks cut into pieces of a size that is drawn without a pause; never within lines that are paired with each other.
export function pieces(hunks) {
  const found = [];
  hunks.forEach((hunk, number) => {
    let piece = { hunk: number, first: true, lines: [] };
    let removed = false;
    for (const at of hunk.cut) hunk.lines[at].cut ??= true; // false: it was asked for whole
    pairLong(hunk.lines);
    hunk.lines.forEach((line, at) => {
      if (line[0] === "note") { if (piece.lines.length) piece.lines.at(-1).note = line[3]; return; }
      if (line[0] === "del") removed = true;
      if (line[0] === "same") removed = false;
      const safe = line[0] === "same" || (line[0] === "add" && !removed) || (line[0] === "del" && hunk.lines[at - 1]?.[0] !== "del");
      if (piece.lines.length >= PIECE && safe) { found.push(piece); piece = { hunk: number, first: false, lines: [] }; }
      piece.lines.push(line);
    });
    found.push(piece);
  });
  return found;
}

// Lines too long for diff2html's comparison, which stand for each other in a change, know each other as `other`.
function pairLong(lines) {
  let found = { del: [], add: [] };
  const pair = () => { found.del.forEach((line, at) => { const other = found.add[at]; if (other) { line.other = other; other.other = line; } }); found = { del: [], add: [] }; };
  for (const line of lines) {
    if (line[0] === "same" || (line[0] === "del" && found.add.length)) pair();
    if (line.cut || line[3].length > CONFIG.maxLineLengthHighlight) found[line[0]]?.push(line);
  }
  pair();
}

// From the first character that differs to the last.
function longMarks({ 3: text, other: { 3: other } }) {
  const most = Math.min(text.length, other.length);
  let begin = 0;
  while (begin < most && text[begin] === other[begin]) begin += 1;
  let end = 0;
  while (end < most - begin && text.at(-1 - end) === other.at(-1 - end)) end += 1;
  return begin < text.length - end ? sensible([[begin, text.length - end]], text) : [];
}

export function showLong(cell) {
  cell.marks = cell.line.other ? longMarks(cell.line) : [];
  fill(cell, cell.line[3], [], cell.marks);
  trail(cell);
}

// Pairs of [old, new] lines as diff2html matches them; either may be missing.
function paired(Diff2HtmlUI, lines, split) {
  const out = [];
  const line = { render: (given) => { out.push(given); return ""; } };
  const nothing = { render: () => "" };
  const numbers = { render: (given) => `${given.oldNumber},${given.newNumber}` };
  const compiledTemplates = {
    "generic-line": line, "generic-block-header": nothing, "generic-wrapper": nothing, "generic-file-path": nothing,
    "line-by-line-file-diff": nothing, "side-by-side-file-diff": nothing, "line-by-line-numbers": numbers,
  };
  const block = {
    header: "", oldStartLine: 1, newStartLine: 1,
    lines: lines.map(([kind, oldNumber, newNumber, text]) => ({ type: TYPES[kind], content: ` ${text}`, oldNumber: oldNumber ?? undefined, newNumber: newNumber ?? undefined })),
  };
  const file = { blocks: [block], isCombined: false, isGitDiff: true, oldName: "a", newName: "a", language: "", addedLines: 0, deletedLines: 0 };
  new Diff2HtmlUI(document.createElement("div"), [file], { ...CONFIG, outputFormat: split ? "side-by-side" : "line-by-line", compiledTemplates });
  return out;
}

function cellsOf(lines) {
  const old = new Map();
  const now = new Map();
  for (const line of lines) {
    if (line[1] !== null && line[0] !== "add") old.set(line[1], line);
    if (line[2] !== null && line[0] !== "del") now.set(line[2], line);
  }
  return { old, now };
}

// Rows are made by copying, and numbers are drawn by the style sheet: there may be thousands.
function model(kind, cells) {
  const row = document.createElement("tr");
  row.className = `ln ${kind}`;
  for (const name of cells) row.insertCell().className = name;
  return row;
}
const models = {
  add: model("add", ["no old", "no new", "code"]), del: model("del", ["no old", "no new", "code"]), same: model("same", ["no old", "no new", "code"]),
  split: model("", ["no old", "code", "no new", "code"]),
};

function number(cell, value) { if (value) cell.setAttribute("data-n", value); }

function code(cell, line, marks) {
  cell.line = line;
  cell.marks = marks;
  if (marks.length) fill(cell, line[3], [], marks);
  else append(cell, line[3]);
  trail(cell);
}

// What stands behind a line's text.
export function trail(cell) {
  const { line } = cell;
  if (line.cut) {
    const whole = document.createElement("button");
    Object.assign(whole, { type: "button", className: "small plain whole-line", textContent: "Show the whole line" });
    whole.dataset.act = "whole-line";
    cell.append(whole);
  }
  if (line.note) cell.append(note(line.note));
}

export function note(text) {
  const mark = document.createElement("span");
  mark.className = "line-note";
  mark.textContent = text;
  return mark;
}

// In one column lines stand as the patch has them; what differs within them is found later (`mark`).
function unified(line, index) {
  const [kind, before, after] = line;
  const row = models[kind].cloneNode(true);
  const [left, right, cell] = row.cells;
  if (kind !== "add") { number(left, before); index.old.set(before, row); }
  if (kind !== "del") { number(right, after); index.new.set(after, row); }
  code(cell, line, []);
  return row;
}

// What differs within the lines of a piece that is drawn in one column: into each cell's `marks`.
export function mark(Diff2HtmlUI, lines, drawn) {
  for (const row of drawn) {
    const cell = row.querySelector("td.code");
    if (cell?.line?.other) showLong(cell);
  }
  if (!lines.some((line) => line[0] === "del") || !lines.some((line) => line[0] === "add")) return;
  const cells = new Map();
  for (const row of drawn) {
    const cell = row.querySelector("td.code");
    if (cell?.line && cell.line[0] !== "same") cells.set(cell.line, cell);
  }
  const sides = cellsOf(lines);
  for (const given of paired(Diff2HtmlUI, lines, false)) {
    if (!given.content.includes("<")) continue;
    const [before, after] = given.lineNumber.split(",");
    const line = given.type.includes("d2h-del") ? sides.old.get(Number(before)) : sides.now.get(Number(after));
    const cell = cells.get(line);
    if (!cell || line.other) continue;
    cell.marks = sensible(marksOf(given.content), line[3]);
    if (!cell.marks.length) continue;
    fill(cell, line[3], [], cell.marks);
    trail(cell);
  }
}

function besides(left, right, sides, index) {
  const row = models.split.cloneNode(true);
  const { cells } = row;
  let changed = false;
  for (const [at, side, given] of [[0, "old", left], [2, "new", right]]) {
    const line = given.lineNumber ? (side === "old" ? sides.old : sides.now).get(given.lineNumber) : null;
    const cell = cells[at + 1];
    if (!line) { cell.className = "code void"; continue; }
    const kind = line[0];
    changed ||= kind !== "same";
    cell.className = `code ${side} ${kind}`;
    number(cells[at], given.lineNumber);
    index[side].set(given.lineNumber, row);
    code(cell, line, kind === "same" ? [] : line.other ? longMarks(line) : sensible(marksOf(given.content || ""), line[3]));
  }
  row.className = `ln ${changed ? "changed" : "same"}`;
  return row;
}

export function table(split, label) {
  const made = document.createElement("table");
  made.className = `diff ${split ? "split" : "unified"}`;
  if (label) {
    const caption = made.createCaption();
    caption.className = "hidden";
    caption.textContent = label;
  }
  const columns = document.createElement("colgroup");
  for (const name of split ? ["no", "", "no", ""] : ["no", "no", ""]) {
    const column = document.createElement("col");
    column.className = name;
    columns.append(column);
  }
  made.append(columns, document.createElement("tbody"));
  return made;
}

// Rows of some lines of a file; `index` gets each by its side and number.
export function rows(Diff2HtmlUI, lines, split, index) {
  const made = document.createDocumentFragment();
  if (!lines.length) return made;
  if (!split) {
    for (const line of lines) made.append(unified(line, index));
    return made;
  }
  const given = paired(Diff2HtmlUI, lines, true);
  const sides = cellsOf(lines);
  for (let at = 0; at < given.length; at += 2) made.append(besides(given[at], given[at + 1], sides, index));
  return made;
}
