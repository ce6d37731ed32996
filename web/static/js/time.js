// Times in the reader's own zone, and running clocks: <time datetime>, and [data-since] for how long ago that was, [data-coarse] in minutes.
import { renewed, within } from "./within.js";

export function span(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

// As a clock that need not run: a board may have hundreds of them.
function coarse(seconds) {
  if (seconds < 60) return "under 1 min";
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min` : span(seconds);
}

const relative = new Intl.RelativeTimeFormat([], { numeric: "auto" });
const UNITS = [["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3600], ["minute", 60]];

export function ago(seconds) {
  const [unit, size] = UNITS.find(([, least]) => Math.abs(seconds) >= least) || ["second", 1];
  return unit === "second" ? "just now" : relative.format(-Math.trunc(seconds / size), unit);
}

// <time class="ago">: how long ago it was, the time itself as its title.
function age(root = document) {
  for (const time of within(root, "time.ago[datetime]")) {
    const at = new Date(time.dateTime);
    const text = ago((Date.now() - at) / 1000);
    if (time.textContent !== text) { time.title = at.toLocaleString(); time.textContent = text; }
  }
}

export function localise(root = document) {
  const today = new Date().toDateString();
  age(root);
  for (const time of within(root, "time[datetime]:not(.ago)")) {
    const at = new Date(time.dateTime);
    const text = at.toLocaleString([], at.toDateString() === today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
    if (time.textContent !== text) { time.title = at.toLocaleString(); time.textContent = text; }
  }
}

function tick(root = document) {
  for (const one of within(root, "[data-since]")) {
    const seconds = Math.max(0, (Date.now() - new Date(one.dataset.since)) / 1000);
    const text = "coarse" in one.dataset ? coarse(seconds) : span(seconds);
    if (one.textContent !== text) one.textContent = text;
  }
}

// What changes with the time, changes with the clocks: one frame a second is drawn for all of it.
const each = new Set();
export function everySecond(handler) { each.add(handler); }

function show(root = document) {
  localise(root);
  tick(root);
}

localise();
setInterval(() => { tick(); for (const handler of each) handler(); }, 1000);
setInterval(age, 20_000);
document.addEventListener("htmx:after:swap", () => show());
document.addEventListener("refreshed", ({ detail }) => show(renewed(detail)));
