// What is kept in this tab under a name, as text or as JSON; nothing where there is none. A browser may refuse to keep anything.
export function readText(name) {
  try { return sessionStorage.getItem(name) || ""; } catch { return ""; }
}

export function writeText(name, text) {
  try {
    if (text) sessionStorage.setItem(name, text);
    else sessionStorage.removeItem(name);
  } catch (error) {
    console.info("this browser keeps nothing that was typed", error);
  }
}

export function read(name) {
  try { return JSON.parse(readText(name) || "null"); } catch { return null; }
}

export const write = (name, value) => writeText(name, value ? JSON.stringify(value) : "");
