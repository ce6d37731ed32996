// Syntax colours, after the lines stand: a hunk's old and new side are each read as one text, so that what spans lines is known.
import { trail } from "./review-draw.js";
import { fill, tokensOf } from "./review-text.js";

const MOST = 400_000; // characters of one side of a piece
const BY_NAME = { dockerfile: "dockerfile", containerfile: "dockerfile", makefile: "makefile", gnumakefile: "makefile", jenkinsfile: "groovy", rakefile: "ruby", gemfile: "ruby", "cmakelists.txt": "", ".bashrc": "bash", ".zshrc": "bash", ".envrc": "bash", "go.mod": "", ".npmrc": "ini", ".gitconfig": "ini", ".editorconfig": "ini" };
const BY_END = { jsx: "javascript", mjs: "javascript", cjs: "javascript", tsx: "typescript", mts: "typescript", cts: "typescript", vue: "xml", svelte: "xml", svg: "xml", toml: "ini", cfg: "ini", conf: "ini", j2: "xml", jinja: "xml", pyi: "python", ipynb: "json", jsonl: "json", lock: "", txt: "", h: "cpp", m: "objectivec", tf: "", zsh: "bash", bat: "", mk: "makefile", rst: "" };

let pen = null;

// highlight.js, as diff2html brings it along.
export function highlighter(Diff2HtmlUI) {
  pen ||= new Diff2HtmlUI(document.createElement("div"), [], { drawFileList: false }).hljs;
  return pen;
}

export function languageOf(hljs, path) {
  const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  const end = name.slice(name.lastIndexOf(".") + 1);
  const known = BY_NAME[name] ?? BY_END[end] ?? (name.includes(".") ? end : "");
  return known && hljs.getLanguage(known) ? known : "";
}

// `parts` are lines in their order, those with `paint` are coloured.
function colour(hljs, language, parts) {
  if (!parts.some((part) => part.paint)) return;
  const text = parts.map(({ cell }) => cell.line[3]).join("\n");
  if (!text.trim() || text.length > MOST) return;
  const lines = tokensOf(hljs.highlight(text, { language, ignoreIllegals: true }).value);
  parts.forEach(({ cell, paint }, at) => {
    const tokens = lines[at] || [];
    if (!paint || !tokens.some(([, name]) => name)) return;
    fill(cell, cell.line[3], tokens, cell.marks);
    trail(cell);
  });
}

// The rows of one piece.
export function colourRows(hljs, language, rows) {
  const before = [];
  const after = [];
  for (const row of rows) {
    for (const cell of row.querySelectorAll("td.code")) {
      const kind = cell.line?.[0];
      if (!kind) continue;
      if (cell.classList.contains("old")) before.push({ cell, paint: true });
      else if (cell.classList.contains("new")) after.push({ cell, paint: true });
      else {
        if (kind !== "add") before.push({ cell, paint: kind === "del" });
        if (kind !== "del") after.push({ cell, paint: true });
      }
    }
  }
  colour(hljs, language, before);
  colour(hljs, language, after);
}
