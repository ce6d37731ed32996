// The feed of all that happens, once for all tabs of a browser: over HTTP/1.1 it has six connections to a site, and a
// stream for each tab would use them up. The tab that holds the lock listens and tells the others; when it closes, the
// next one takes over at its own cursor, and what is told twice counts once.
//
// On `document`: `live` (detail: the entry), `live:status` (detail: open, lost), `live:behind` (fetch everything again).
const MOST_KEPT = 1000;
const channel = new BroadcastChannel("dispatcher-live");
const me = crypto.randomUUID();
let cursor = Number(document.body.dataset.cursor || 0);
let leading = false;
let kept = [];
let floor = 0; // every entry after it that there was is kept

function fire(name, detail) {
  document.dispatchEvent(new CustomEvent(name, { detail }));
}

function take(entry) {
  if (entry.id <= cursor) return;
  cursor = entry.id;
  fire("live", entry);
}

function say(status) {
  fire("live:status", status);
  if (leading) channel.postMessage({ status });
}

function lead() {
  leading = true;
  floor = cursor;
  const source = new EventSource(`/live?since=${cursor}`);
  source.onopen = () => say("open");
  source.onerror = () => {
    say("lost");
    // A browser gives up on an answer that is no stream, as while the site starts: so we begin anew.
    if (source.readyState === EventSource.CLOSED) { source.close(); setTimeout(lead, 1000); }
  };
  source.onmessage = (message) => {
    const entry = JSON.parse(message.data);
    kept.push(entry);
    if (kept.length > MOST_KEPT) floor = kept.shift().id;
    channel.postMessage({ entry });
    take(entry);
  };
}

channel.onmessage = ({ data }) => {
  if (data.entry) take(data.entry);
  else if (data.status) fire("live:status", data.status);
  else if (data.hello && leading) {
    const behind = data.since < floor;
    channel.postMessage({ to: data.hello, behind, entries: behind ? [] : kept.filter((entry) => entry.id > data.since), at: cursor });
  } else if (data.to === me) {
    if (data.behind) { cursor = Math.max(cursor, data.at); fire("live:behind"); }
    for (const entry of data.entries) take(entry);
  }
};

export function listen() {
  if (!document.body.dataset.cursor) return;
  channel.postMessage({ hello: me, since: cursor });
  navigator.locks.request("dispatcher-live", () => { lead(); return new Promise(() => {}); });
}
