// The bar at the top: search, the person's menu, the connection; and the keys that every page has.
import { key, setSingleKeys, singleKeys } from "./keys.js";
import { listen, status } from "./live.js";
import { loginPath } from "./requests.js";

const LOST_MS = 1500; // a stream that comes back sooner was not lost
const line = document.getElementById("live");
let timer = 0;

function lost(since) {
  const at = new Date(since).toLocaleTimeString([], { timeStyle: "medium" });
  line.replaceChildren(`Not connected since ${at}, trying again`);
}

function show(state) {
  clearTimeout(timer);
  const since = status().since || Date.now();
  if (state === "lost" && Date.now() - since < LOST_MS) { timer = setTimeout(() => show("lost"), LOST_MS); return; }
  if (line.dataset.state === state) return;
  const before = line.dataset.state;
  line.dataset.state = state;
  if (state === "lost") lost(since);
  else if (state === "login") {
    const link = document.createElement("a");
    link.href = loginPath();
    link.textContent = "log in again";
    line.replaceChildren("Not connected: ", link);
  } else line.replaceChildren(before === "lost" ? "Live again" : "Live");
}

document.addEventListener("live:status", ({ detail }) => show(detail));
if (line) listen();

const visible = (element) => Boolean(element?.checkVisibility());
// The one that is nearest to what is read: of the page's part, of the page, of the site.
const SEARCHES = ["[data-search]", ".pagebar [type=search]", "#search"];
export const searchField = () => SEARCHES.flatMap((one) => [...document.querySelectorAll(one)]).find(visible);

function search() {
  const field = searchField();
  field.focus();
  field.select();
}

const go = (path) => () => location.assign(path);
const link = (path) => () => Boolean(document.querySelector(`.nav a[href="${path}"]`));
key("g b", "Go to the board", go("/"), { group: "Pages" });
key("g i", "Go to the inbox", go("/inbox"), { group: "Pages", when: link("/inbox") });
key("g f", "Go to the fleet", go("/fleet"), { group: "Pages", when: link("/fleet") });
key("/", "Search", search, { when: () => Boolean(searchField()) });
key("Escape", "Leave the field", () => document.activeElement.blur(), {
  when: () => Boolean(document.activeElement?.matches?.("[data-search], .pagebar [type=search], #search")) && !document.activeElement.value,
});
key("Mod+k", "Command palette", () => import("./palette.js").then(({ open }) => open()));
key("?", "List of keys", () => import("./help.js").then(({ open }) => open()));
key("c", "New ticket", () => document.getElementById("new-ticket").click(), {
  when: () => visible(document.getElementById("new-ticket")),
});

const menu = document.getElementById("person-menu");
if (menu) {
  const chosen = () => document.documentElement.dataset.theme || "system";
  const single = menu.querySelector("[name=single-keys]");
  menu.addEventListener("beforetoggle", () => {
    for (const choice of menu.querySelectorAll("[name=theme]")) choice.checked = choice.value === chosen();
    single.checked = singleKeys();
  });
  menu.addEventListener("change", ({ target }) => {
    if (target.name === "theme") document.dispatchEvent(new CustomEvent("theme", { detail: target.value }));
    if (target === single) setSingleKeys(target.checked);
  });
}
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-dialog]");
  if (!button) return;
  button.closest("[popover]")?.hidePopover();
  import(`./${button.dataset.dialog}.js`).then(({ open }) => open());
});
for (const theme of ["system", "light", "dark"]) {
  key("", `Colours: ${theme === "system" ? "as the system's" : theme}`, () => document.dispatchEvent(new CustomEvent("theme", { detail: theme })), {
    group: "Settings", when: () => (document.documentElement.dataset.theme || "system") !== theme,
  });
}
