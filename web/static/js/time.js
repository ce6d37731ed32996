// Times in the reader's own zone, and running clocks: <time datetime>, and [data-since] for how long ago that was.
export function span(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function localise(root = document) {
  const today = new Date().toDateString();
  for (const time of root.querySelectorAll("time[datetime]")) {
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
for (const event of ["htmx:after:swap", "refreshed"]) document.addEventListener(event, () => { localise(); tick(); });
