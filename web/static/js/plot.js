// Plots of what stands in a table beside them: <run-plot data-table="id" data-column="rate" data-kind="points|bars">. Each row of the
// table has data-at (seconds) and data-rate; a row without a value is left out. The table is for those who do not see the plot, and
// for those without scripts. Colours are those of the page, in light and in dark.
const plots = new Set();
let library = null;

function load(address) {
  library ||= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => done(globalThis.uPlot);
    script.onerror = () => { library = null; failed(new Error(`${address} cannot be loaded`)); };
    document.head.append(script);
  });
  return library;
}

const short = (value) => {
  if (value === null || value === undefined) return "";
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toFixed(1))}M`;
  if (size >= 1e3) return `${Number((value / 1e3).toFixed(1))}k`;
  return String(Number(value.toFixed(size < 10 ? 2 : 0)));
};

// Moments as the reader's own language writes them: the day below the time, where it is another than that before.
function moments(splits, step) {
  let before = "";
  return splits.map((at) => {
    const moment = new Date(at * 1000);
    const day = moment.toLocaleDateString([], { month: "short", day: "numeric" });
    if (step >= 86400) return day;
    const time = moment.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
    const told = day === before ? time : `${time}\n${day}`;
    before = day;
    return told;
  });
}

class RunPlot extends HTMLElement {
  connectedCallback() {
    plots.add(this);
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(this);
    load(this.dataset.library).then((make) => { if (this.isConnected) { this.make = make; this.draw(); } }, (error) => {
      console.error(error);
      const tables = document.getElementById("history-tables");
      if (tables) tables.open = true;
    });
  }

  disconnectedCallback() {
    plots.delete(this);
    this.watch.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  rows() {
    const all = document.querySelectorAll(`#${CSS.escape(this.dataset.table)} tbody tr[data-at]`);
    const found = [...all].filter((row) => row.dataset[this.dataset.column]);
    return found.map((row) => ({ at: Number(row.dataset.at), value: Number(row.dataset[this.dataset.column]), label: row.dataset.label || "" })).sort((a, b) => a.at - b.at);
  }

  // A colour of the page as the canvas takes it: custom properties hold light-dark(), which only an element resolves.
  colour(name) {
    const probe = document.createElement("span");
    probe.className = name;
    this.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  }

  draw() {
    if (!this.make) return;
    this.plot?.destroy();
    this.told = this.rows();
    const [ink, axis, grid] = [this.colour(`plot-${this.dataset.tint}`), this.colour("plot-axis"), this.colour("plot-grid")];
    const bars = this.dataset.kind === "bars";
    const font = `12px ${getComputedStyle(this).fontFamily}`;
    const line = { stroke: axis, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
    const now = Date.now() / 1000;
    const some = this.told.some(({ value }) => value > 0); // of nothing there is no scale
    this.plot = new this.make({
      width: this.clientWidth || 300,
      height: this.clientHeight || 176,
      padding: [10, 24, 0, 0], // the last moment stands beneath the edge
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
      scales: { x: { range: () => [now - Number(this.dataset.hours) * 3600, now] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.15 : 1] } },
      axes: [{ ...line, space: 70, values: (_, splits, axis, space, step) => moments(splits, step) }, { ...line, size: 48, space: 26, values: (_, splits) => splits.map((value) => (some || !value ? short(value) : "")) }],
      series: [{}, {
        stroke: ink,
        fill: bars ? ink : undefined,
        width: bars ? 0 : 1,
        paths: bars ? this.make.paths.bars({ size: [0.7, 40], align: 1 }) : () => null,
        points: { show: !bars, size: 6, fill: ink, stroke: ink },
      }],
      hooks: { setCursor: [(plot) => this.tell(plot)] },
    }, [this.told.map((row) => row.at), this.told.map((row) => row.value)], this);
    this.tip?.remove();
    this.tip = document.createElement("div");
    this.tip.className = "plot-tip";
    this.tip.hidden = true;
    this.append(this.tip);
  }

  tell(plot) {
    const row = plot.cursor.idx === null || plot.cursor.left < 0 ? null : this.told[plot.cursor.idx];
    if (!this.tip) return;
    this.tip.hidden = !row;
    if (!row) return;
    const at = new Date(row.at * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    this.tip.textContent = [`${row.value.toLocaleString([], { maximumFractionDigits: 1 })} ${this.dataset.unit}`, row.label, at].filter(Boolean).join(" · ");
    const left = plot.valToPos(row.at, "x") + plot.bbox.left / devicePixelRatio;
    this.tip.style.left = `${Math.max(0, Math.min(left + 8, this.clientWidth - this.tip.offsetWidth))}px`;
    this.tip.style.top = "0px";
  }

  fit() {
    if (this.plot && this.clientWidth && this.clientWidth !== this.plot.width) this.plot.setSize({ width: this.clientWidth, height: this.clientHeight });
  }
}

const again = () => { for (const plot of plots) plot.draw(); };
for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) matchMedia(query).addEventListener("change", again);
new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-theme"] });
document.addEventListener("refreshed", ({ detail }) => { for (const plot of plots) if (detail.contains(plot)) plot.draw(); });
customElements.define("run-plot", RunPlot);
