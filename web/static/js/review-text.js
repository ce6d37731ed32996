// Text of a repository's as nodes of a page: never as markup. What cannot be seen is shown by its code point.
const ODD = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|[\u{e0000}-\u{e01ef}]/gu;
const JOINERS = "\u200c\u200d"; // scripts and emoji need them
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', "#x27": "'", "#x2F": "/", "#39": "'" };

export const hasOdd = (text) => text.search(ODD) >= 0;

function code(character) {
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

function odd(character) {
  const mark = document.createElement("span");
  mark.className = "odd";
  mark.title = `A character that cannot be seen: ${code(character)}`;
  mark.textContent = code(character);
  return mark;
}

// `text` with each hidden character as a mark.
export function append(parent, text) {
  if (!text) return;
  if (!hasOdd(text)) { parent.append(text); return; }
  let from = 0;
  for (const match of text.matchAll(ODD)) {
    if (JOINERS.includes(match[0])) continue;
    if (match.index > from) parent.append(text.slice(from, match.index));
    parent.append(odd(match[0]));
    from = match.index + match[0].length;
  }
  if (from < text.length) parent.append(text.slice(from));
}

// Escaped HTML with <ins> and <del>, as diff2html gives a line: the ranges that these mark, by characters of the plain text.
export function marksOf(html) {
  if (!html.includes("<")) return [];
  const marks = [];
  let at = 0;
  let begin = -1;
  for (const [part, close, tag, entity] of html.matchAll(/<(\/?)(ins|del)[^>]*>|&([#\w]+);|[^<&]+/g)) {
    if (tag) {
      if (!close) begin = at;
      else if (begin >= 0) { if (at > begin) marks.push([begin, at]); begin = -1; }
    } else at += entity ? ENTITIES[entity].length : part.length;
  }
  return marks;
}

const JOINED = /[\u0300-\u036f\u200d\ufe0e\ufe0f\u{1f1e6}-\u{1f1ff}\u{1f3fb}-\u{1f3ff}]/u;

// Marks that begin and end where a reader sees a character do: not within an emoji of several, nor before an accent.
export function unbroken(marks, text) {
  if (!marks.length || !JOINED.test(text) || !globalThis.Intl?.Segmenter) return marks;
  const segments = new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(text);
  const edge = (at, end) => {
    const found = segments.containing(at);
    return found && found.index < at ? found.index + (end ? found.segment.length : 0) : at;
  };
  return marks.map(([begin, end]) => [edge(begin, false), edge(end, true)]);
}

// Marks say something only where the lines have something in common.
export function sensible(marks, text) {
  let common = "";
  let from = 0;
  for (const [begin, end] of marks) { common += text.slice(from, begin); from = end; }
  common += text.slice(from);
  const count = (part) => part.replace(/\s/g, "").length;
  return count(common) >= Math.max(2, count(text) * 0.15) ? unbroken(marks, text) : [];
}

// What highlight.js gives for several lines: for each line its tokens, as [length, class].
export function tokensOf(html) {
  const lines = [[]];
  const classes = [];
  const put = (text) => {
    const parts = text.split("\n");
    parts.forEach((part, number) => {
      if (number) lines.push([]);
      if (part) lines.at(-1).push([part.length, classes.at(-1) || ""]);
    });
  };
  for (const [part, name, close, entity] of html.matchAll(/<span class="([^"]*)">|(<\/span>)|&([#\w]+);|[^<&]+/g)) {
    if (name !== undefined) classes.push(name);
    else if (close) classes.pop();
    else put(entity ? ENTITIES[entity] ?? part : part);
  }
  return lines;
}

// A cell's text with tokens' colours and the marks of what changed.
export function fill(cell, text, tokens, marks) {
  cell.replaceChildren();
  const cuts = new Set([text.length]);
  let at = 0;
  const spans = [];
  for (const [length, name] of tokens) { spans.push([at, at + length, name]); at += length; cuts.add(at - length).add(at); }
  for (const [from, to] of marks) cuts.add(from).add(to);
  const ordered = [...cuts].filter((cut) => cut <= text.length).sort((one, other) => one - other);
  let from = 0;
  let span = 0;
  for (const to of ordered) {
    if (to <= from) continue;
    while (span < spans.length && spans[span][1] <= from) span += 1;
    const name = spans[span] && spans[span][0] <= from ? spans[span][2] : "";
    const marked = marks.some((mark) => mark[0] <= from && to <= mark[1]);
    const part = text.slice(from, to);
    if (!name && !marked) append(cell, part);
    else {
      const piece = document.createElement(marked ? "mark" : "span");
      if (name) piece.className = name;
      append(piece, part);
      cell.append(piece);
    }
    from = to;
  }
}
