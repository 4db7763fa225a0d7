/* The last hour in four charts, and in a table for those who do not see them. */

const EVERY = 10_000;
const ANSWER_WITHIN = 8_000;
const HEIGHT = 110;
const KEPT = "charts-open"; // in this browser
const NARROW = matchMedia("(max-width: 820px)");
const DARK = matchMedia("(prefers-color-scheme: dark)");
const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

// Colour is never the only signal: each line has a dash of its own.
const STATES = [
  ["IN_PROGRESS", "Begun", "--accent", []],
  ["COMPLETED", "Completed", "--good", [6, 2]],
  ["PROCESSING_AI", "Processing AI", "--busy", [2, 2]],
  ["FAILED", "Failed", "--bad", [8, 2, 2, 2]],
  ["ARCHIVED", "Archived", "--muted", [1, 3]],
];
const CHARTS = {
  calls: (hour) => STATES.map(([state, label, colour, dash]) => ({ label, colour, dash, values: hour.calls[state] })),
  packets: (hour) => [{ label: "Packets/s", colour: "--accent", values: hour.packets_per_s }],
  latency: (hour) => [
    { label: "p50", colour: "--accent", values: hour.latency_p50 },
    { label: "p95", colour: "--busy", dash: [4, 3], values: hour.latency_p95 },
  ],
  failures: (hour) => [{ label: "Failed", colour: "--bad", values: hour.failure_rate, unit: " %" }],
};
const EMPTY = {
  packets: "not known while Redis is away",
  latency: "no request succeeded",
  failures: "no requests",
};

const box = document.getElementById("charts");
const note = document.getElementById("charts-note");
const plots = new Map();
let hour, asking, timer;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const figure = (name) => document.getElementById(`chart-${name}`);
const shown = (value) => (value === null ? "–" : String(Math.round(value * 100) / 100));
const last = (values) => values.findLast((value) => value !== null) ?? null;

function options(lines, width) {
  const grid = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: colour("--muted"), font: "11px system-ui", grid, ticks: { ...grid, size: 4 } };
  return {
    width,
    height: HEIGHT,
    padding: [8, 24, 0, 0],
    cursor: { y: false, points: { size: 5 } },
    legend: { live: true },
    scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [
      { ...axis, size: 22, space: 60, values: (_, ticks) => ticks.map((at) => TIME.format(at * 1000)) },
      { ...axis, size: 38, space: 24 },
    ],
    series: [
      { label: "Time", value: (_, at) => (at === null ? "–" : TIME.format(at * 1000)) },
      ...lines.map(({ label, colour: name, dash = [], unit = "" }) => ({
        label,
        dash,
        stroke: colour(name),
        width: 1.5,
        points: { size: 4 },
        value: (_, value) => (value === null || value === undefined ? "–" : shown(value) + unit),
      })),
    ],
  };
}

function draw(name) {
  const lines = CHARTS[name](hour);
  const data = [hour.minutes, ...lines.map(({ values }) => values)];
  const place = figure(name);
  const known = lines.some(({ values }) => last(values) !== null);
  const nothing = known ? "" : EMPTY[name] ?? "nothing";
  place.dataset.empty = nothing;
  const words = lines.map(({ label, values, unit = "" }) => `${label} ${shown(last(values))}${unit}`);
  let plot = plots.get(name);
  if (!plot) {
    plot = new uPlot(options(lines, place.clientWidth), data, place);
    plots.set(name, plot);
    plot.root.querySelector(".u-wrap").setAttribute("role", "img");
  } else {
    plot.setData(data);
  }
  setTimeout(nameNewest, 0, plot); // once it has been drawn, which empties its legend
  const title = place.querySelector("figcaption").textContent;
  plot.root.querySelector(".u-wrap").setAttribute("aria-label", `${title}, last hour: ${nothing || `now ${words.join(", ")}`}`);
}

/* Where nobody points at a minute, the legend tells the newest. */
function nameNewest(plot) {
  if (plot.cursor.left < 0) plot.setLegend({ idx: hour.minutes.length - 1 });
}

function cell(row, kind, words) {
  const made = row.appendChild(document.createElement(kind));
  made.textContent = words;
  if (kind === "th") made.scope = row.parentElement.nodeName === "THEAD" ? "col" : "row";
  else made.className = "number";
}

function tabulate() {
  const lines = Object.keys(CHARTS).flatMap((name) => CHARTS[name](hour));
  const labels = [...STATES.map(([, label]) => label), "Packets a second", "AI latency p50, s", "AI latency p95, s", "AI failures, %"];
  const [head, body] = [document.createElement("thead"), document.createElement("tbody")];
  const top = head.appendChild(document.createElement("tr"));
  for (const words of ["Minute", ...labels]) cell(top, "th", words);
  hour.minutes.forEach((minute, place) => {
    const row = document.createElement("tr");
    body.prepend(row);
    cell(row, "th", TIME.format(minute * 1000));
    for (const { values } of lines) cell(row, "td", shown(values[place]));
  });
  box.querySelector(".numbers table").replaceChildren(head, body);
}

function show() {
  if (!hour || !box.open) return;
  for (const name of Object.keys(CHARTS)) draw(name);
  if (box.querySelector(".numbers").open) tabulate();
}

function redraw() {
  for (const plot of plots.values()) plot.destroy();
  plots.clear();
  show();
}

function resize() {
  for (const [name, plot] of plots) plot.setSize({ width: figure(name).clientWidth, height: HEIGHT });
}

async function ask() {
  if (asking || document.hidden || !box.open) return;
  asking = true;
  try {
    const answer = await fetch(box.dataset.url, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN) });
    if (answer.redirected || answer.status === 403) return finish("signed out: reload to sign in");
    if (!answer.ok) throw new Error(answer.statusText);
    hour = await answer.json();
    note.textContent = "";
    show();
  } catch {
    note.textContent = hour ? `as of ${TIME.format(last(hour.minutes) * 1000)}: the server does not answer` : "the server does not answer";
  } finally {
    asking = false;
  }
}

function finish(words) {
  clearInterval(timer);
  note.textContent = words;
}

box.hidden = false;
box.open = localStorage.getItem(KEPT) === null ? !NARROW.matches : localStorage.getItem(KEPT) === "yes";
box.querySelector("summary").addEventListener("click", () => localStorage.setItem(KEPT, box.open ? "no" : "yes"));
box.addEventListener("toggle", () => (hour ? show() : ask()));
box.querySelector(".numbers").addEventListener("toggle", () => hour && tabulate());
new ResizeObserver(resize).observe(box);
DARK.addEventListener("change", redraw);
document.addEventListener("visibilitychange", ask);
timer = setInterval(ask, EVERY);
ask();
