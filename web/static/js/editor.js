// <md-editor>: a Markdown field with a preview, whose text is kept in this tab until it is sent. Without scripts it is a textarea.
// Mod+Enter sends the form that it stands in.
import { readText, writeText } from "./kept.js";

const SAVE_MS = 250;

class Editor extends HTMLElement {
  connectedCallback() {
    if (this.wired) return;
    this.wired = true;
    this.addEventListener("click", ({ target }) => { const view = target.closest("[data-editor]"); if (view) this.show(view.dataset.editor); });
    this.addEventListener("keydown", (event) => this.send(event));
    this.addEventListener("input", () => this.later());
    const form = this.closest("form");
    form?.addEventListener("submit", () => {
      this.forget();
      if (this.draft) writeText(this.draft, "");
    });
    // Where it was not sent after all, the text still stands here.
    form?.addEventListener("htmx:finally:request", () => { if (this.isConnected) this.save(); });
    this.restore();
  }

  get area() { return this.querySelector("textarea"); }
  get draft() { return this.dataset.draft ? `draft:${this.dataset.draft}` : ""; }

  restore() {
    const { area } = this;
    const text = this.draft && !area.defaultValue && !area.value && readText(this.draft);
    if (!text) return;
    area.value = text;
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // Taken away, as by a dialog that closes, or with its page: what was typed last is kept now.
  disconnectedCallback() { if (this.saving) this.save(); }

  forget() {
    clearTimeout(this.saving);
    this.saving = 0;
  }

  save() {
    const { area } = this;
    this.forget();
    if (this.draft && area) writeText(this.draft, area.value === area.defaultValue ? "" : area.value);
  }

  later() {
    this.forget();
    this.saving = setTimeout(() => this.save(), SAVE_MS);
  }

  send(event) {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing || !event.target.closest("textarea, .editor-preview")) return;
    event.preventDefault();
    this.closest("form")?.requestSubmit();
  }

  async show(view) {
    const { area } = this;
    const shown = this.querySelector(".editor-preview");
    for (const button of this.querySelectorAll("[data-editor]")) button.setAttribute("aria-pressed", String(button.dataset.editor === view));
    const height = area.offsetHeight;
    area.hidden = view === "preview";
    shown.hidden = view !== "preview";
    if (view !== "preview") { area.focus(); return; }
    shown.style.minHeight = `${height}px`;
    shown.setAttribute("aria-busy", "true");
    await this.render(area.value, shown);
    shown.removeAttribute("aria-busy");
  }

  async render(text, shown) {
    const body = new URLSearchParams({ text, project: this.dataset.project || "" });
    try {
      const answer = await fetch("/preview", { method: "POST", body, headers: { "HX-Request": "true", Accept: "text/html" } });
      const html = await answer.text();
      if (answer.ok) { shown.innerHTML = html; return; } // the server made it, by web/markdown.py
      shown.textContent = `It cannot be shown: the answer was ${answer.status}.`;
    } catch {
      shown.textContent = "It cannot be shown: the site does not answer.";
    }
  }
}

addEventListener("pagehide", () => { for (const editor of document.querySelectorAll("md-editor")) if (editor.saving) editor.save(); });

if (!customElements.get("md-editor")) customElements.define("md-editor", Editor);
