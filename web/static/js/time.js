// Times in the reader's own zone, and running clocks: <time datetime>, and [data-since] for how long ago that was.
export function span(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

const relative = new Intl.RelativeTimeFormat([], { numeric: "auto" });
const UNITS = [["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3600], ["minute", 60]];

export function ago(seconds) {
  const [unit, size] = UNITS.find(([, least]) => Math.abs(seconds) >= least) || ["second", 1];
  return unit === "second" ? "just now" : relative.format(-Math.trunc(seconds / size), unit);
}

// <time class="ago">: how long ago it was, the time itself as its title.
function age(root = document) {
  for (const time of root.querySelectorAll("time.ago[datetime]")) {
    const at = new Date(time.dateTime);
    const text = ago((Date.now() - at) / 1000);
    if (time.textContent !== text) { time.title = at.toLocaleString(); time.textContent = text; }
  }
}

export function localise(root = document) {
  const today = new Date().toDateString();
  age(root);
  for (const time of root.querySelectorAll("time[datetime]:not(.ago)")) {
    const at = new Date(time.dateTime);
    const text = at.toLocaleString([], at.toDateString() === today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
    if (time.textContent !== text) { time.title = at.toLocaleString(); time.textContent = text; }
  }
}

function tick() {
  for (const one of document.querySelectorAll("[data-since]")) {
    const text = span(Math.max(0, (Date.now() - new Date(one.dataset.since)) / 1000));
    if (one.textContent !== text) one.textContent = text;
  }
}

localise();
setInterval(tick, 1000);
setInterval(age, 20_000);
for (const event of ["htmx:after:swap", "refreshed"]) document.addEventListener(event, () => { localise(); tick(); });
