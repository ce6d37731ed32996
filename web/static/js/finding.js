// What the palette finds: how well words match what was typed, tickets of the server, and those that were opened lately.
const MOST = 12;
const KEPT = 8;

// 0 where not all characters of `text` are in `words` in order; more where they stand together, or begin words.
export function score(text, words) {
  if (!text) return 1;
  const [wanted, given] = [text.toLowerCase(), words.toLowerCase()];
  const whole = given.indexOf(wanted);
  if (whole >= 0) return 1000 - whole + (whole === 0 || /\W/.test(given[whole - 1]) ? 500 : 0);
  let [sum, at] = [1, -1];
  for (const character of wanted.replace(/\s+/g, "")) {
    const next = given.indexOf(character, at + 1);
    if (next < 0) return 0;
    const starts = next === 0 || /\W/.test(given[next - 1]);
    sum += next === at + 1 ? 5 : starts ? 8 : -Math.min(next - at, 5);
    at = next;
  }
  return sum > 0 ? sum : 0;
}

// null where the search was given up, or nobody answered: what was found before stays.
export async function find(text, signal) {
  try {
    const answer = await fetch(`/api/v1/tickets?${new URLSearchParams({ q: text, limit: MOST })}`, { signal });
    if (!answer.ok) return answer.status === 422 ? [] : null;
    return (await answer.json()).map(({ key, title, state }) => ({ key, title, state, url: `/tickets/${key}` }));
  } catch {
    return null;
  }
}

export function remembered() {
  try {
    const kept = JSON.parse(localStorage.getItem("recent") || "[]");
    return Array.isArray(kept) ? kept.filter((one) => /^[A-Z][A-Z0-9]*-\d+$/.test(one?.key)).map(({ key, title }) => ({ key, title: String(title), url: `/tickets/${key}` })) : [];
  } catch {
    return [];
  }
}

export function remember({ key, title }) {
  const rest = remembered().filter((one) => one.key !== key).map((one) => ({ key: one.key, title: one.title }));
  try { localStorage.setItem("recent", JSON.stringify([{ key, title }, ...rest].slice(0, KEPT))); } catch (error) { console.info("this browser keeps nothing", error); }
}

// A ticket's own page counts as opened.
const page = /^\/tickets\/([A-Za-z0-9]+-\d+)(?:\/|$)/.exec(location.pathname);
const heading = document.querySelector("main h1");
if (page && heading) remember({ key: page[1].toUpperCase(), title: heading.textContent.trim() });
