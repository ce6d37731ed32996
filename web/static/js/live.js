// The feed of all that happens, once for all tabs of a browser: over HTTP/1.1 it has six connections to a site, and a
// stream for each tab would use them up. The tab that holds the lock leads: it listens and tells the others. When it closes or
// crashes, the next one goes on from its own cursor. Where a browser has no locks or channels, as over plain HTTP from another
// machine, each visible tab has a stream of its own.
//
// On `document`: `live` (detail: the entry), `live:status` (detail: open, lost, login), `live:behind` (fetch everything again:
// more has happened than is told one by one). Each entry comes once, in order; none is left out between two `live:behind`.
const NAME = "dispatcher-live";
const MOST_KEPT = 1000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const ANSWER_MS = 3000; // a leader that takes longer to answer is frozen
const HIDDEN_MS = 20_000; // how long a hidden tab without a leader keeps its stream
const shared = Boolean(navigator.locks && window.BroadcastChannel);
const me = `${Date.now()}-${Math.random()}`;
let channel = null;
let cursor = Number(document.body.dataset.cursor || 0);
let leading = false;
let resign = () => {};
let claim = null;
let source = null;
let retry = 0;
let wait = FIRST_WAIT_MS;
let state = "";
let since = 0; // when the state began
let kept = [];
let floor = 0; // every entry after it that there was is kept
let held = null; // entries that came while those before them are asked for
let asking = 0;
let followed = true; // whether any tab hears what is told: else nothing need go through the browser
let hails = 0;

const fire = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
const tell = (message) => channel?.postMessage(message);

export const isLeading = () => leading || !shared;
export const status = () => ({ state, since });

function say(now, at = Date.now()) {
  if (leading) tell({ status: now, since: at });
  if (now === state) return;
  [state, since] = [now, at];
  fire("live:status", now);
}

function take(entry) {
  if (entry.id <= cursor) return;
  cursor = entry.id;
  fire("live", entry);
}

function jump(at) {
  cursor = at;
  kept = [];
  floor = at;
  fire("live:behind");
}

function close() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

// Why there is no stream: a browser tells an EventSource nothing of the answer's status.
async function loggedOut() {
  const giveUp = new AbortController();
  try {
    const answer = await fetch(`/live?since=${cursor}`, { headers: { Accept: "text/event-stream" }, redirect: "manual", signal: giveUp.signal });
    return answer.status === 401 || answer.type === "opaqueredirect";
  } catch {
    return false;
  } finally {
    giveUp.abort();
  }
}

async function again() {
  const refused = source?.readyState === EventSource.CLOSED;
  close();
  const login = refused && await loggedOut();
  if (source) return; // something else was quicker
  if (login) { say("login"); return; }
  say("lost");
  const pause = wait * (0.75 + Math.random() / 2);
  wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  retry = setTimeout(open, pause);
}

function open() {
  close();
  const stream = source = new EventSource(`/live?since=${cursor}`);
  stream.onopen = () => { wait = FIRST_WAIT_MS; say("open"); };
  stream.onerror = () => { if (stream === source) again(); };
  stream.addEventListener("behind", ({ data }) => { jump(JSON.parse(data).at); tell({ jump: cursor }); });
  stream.onmessage = ({ data }) => {
    const entry = JSON.parse(data);
    if (entry.id <= cursor) return;
    kept.push(entry);
    if (kept.length > MOST_KEPT) floor = kept.shift().id;
    if (followed) tell({ entry, after: cursor });
    take(entry);
  };
}

// When the reader comes back, or the network does, there is no more waiting.
function hurry() {
  if (!leading && shared) { if (channel) hello(); return; }
  if (source && source.readyState === EventSource.OPEN) return;
  wait = FIRST_WAIT_MS;
  open();
}

function lead() {
  leading = true;
  clearTimeout(asking);
  held = null; // from here on the stream tells all after the cursor
  floor = cursor;
  kept = [];
  open();
  attended();
}

// Each tab that follows waits for the lock, and says hello when it comes.
async function attended() {
  followed = true;
  const before = hails;
  const { pending } = await navigator.locks.query();
  if (hails === before) followed = pending.some(({ name }) => name === NAME);
}

function follow() {
  leading = false;
  close();
}

function stand(steal = false) {
  claim?.abort();
  const own = claim = steal ? null : new AbortController();
  const options = steal ? { steal: true } : { signal: own.signal };
  navigator.locks.request(NAME, options, () => new Promise((resolve) => { resign = resolve; lead(); })).catch(() => {
    // Stolen, while this tab was frozen: another leads now; or no longer asked for.
    if (own?.signal.aborted) return;
    follow();
    if (channel) { stand(); hello(); }
  });
}

// Ask the leader for what this tab has missed; what comes meanwhile waits, so that nothing is passed over.
function hello() {
  held ??= [];
  tell({ hello: me, since: cursor });
  clearTimeout(asking);
  asking = setTimeout(() => { if (channel && !leading && !document.hidden) stand(true); }, ANSWER_MS);
}

function answered({ behind, entries, at, status: now, since: from }) {
  clearTimeout(asking);
  if (behind) jump(at);
  for (const entry of entries) take(entry);
  const later = held || [];
  held = null;
  for (const message of later) heard(message);
  if (now) say(now, from);
}

function heard(message) {
  if (held) { held.push(message); return; }
  if (message.entry.id <= cursor) return;
  if (message.after > cursor) { hello(); held.push(message); return; }
  take(message.entry);
}

function answer({ hello: to, since: from }) {
  hails += 1;
  followed = true;
  const behind = from < floor;
  const entries = behind ? [] : kept.filter((entry) => entry.id > from);
  tell({ to, behind, entries, at: cursor, status: state, since });
  if (state === "login") hurry(); // a tab that was opened later may have logged in
}

function receive({ data }) {
  if (data.to) { if (data.to === me) answered(data); }
  else if (data.hello && leading) answer(data);
  else if (leading) return;
  else if (data.entry) heard(data);
  else if (data.jump !== undefined) { held = null; jump(data.jump); }
  else if (data.status) say(data.status, data.since);
}

function join() {
  if (!shared) { open(); return; }
  channel = new BroadcastChannel(NAME);
  channel.onmessage = receive;
  hello();
  stand();
}

function leave() {
  clearTimeout(asking);
  close();
  claim?.abort();
  resign();
  leading = false;
  held = null;
  channel?.close();
  channel = null;
}

// A page whose stream and lock are given up can be kept for going back to it.
addEventListener("pagehide", () => { if (channel || source) leave(); });
addEventListener("pageshow", ({ persisted }) => { if (persisted && document.body.dataset.cursor) join(); });
addEventListener("online", hurry);
let unseen = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(unseen);
  if (!document.body.dataset.cursor) return;
  if (!document.hidden) hurry();
  else if (!shared) unseen = setTimeout(close, HIDDEN_MS);
});

export function listen() {
  if (document.body.dataset.cursor) join();
}
