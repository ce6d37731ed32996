// What is kept in this tab under a name, as JSON; null for nothing. A browser may refuse to keep anything.
export function read(name) {
  try { return JSON.parse(sessionStorage.getItem(name) || "null"); } catch { return null; }
}

export function write(name, value) {
  try {
    if (value) sessionStorage.setItem(name, JSON.stringify(value));
    else sessionStorage.removeItem(name);
  } catch (error) {
    console.info("this browser keeps nothing that was typed", error);
  }
}
