/* Keeps the page as the server has it: over its socket, by fetching it again where there is none.

   htmx and its ws extension were weighed: it comes back after neither code 1000 nor 1001, waits up
   to a minute between tries, and cannot say how old the page is. */

import { rememberZone, setServerTime, tick, wallClock } from "./clocks.js";
import { adopt, paint } from "./paint.js";

const FINAL = {
  4401: "signed out: reload to sign in",
  4403: "you may not see this any more",
  4404: "this is not there any more",
};
const HEARD_WITHIN = 12_000; // the server says something every five seconds
const OPEN_WITHIN = 8_000;
const PATIENCE = 3_000; // without the socket, before polling and being called stale
const POLL_EVERY = 3_000;
const ANSWER_WITHIN = 8_000;
const [TRY_FIRST, TRY_LAST] = [500, 4_000];

const { socket: address, now: paintedAt } = standingOf(document);
const badge = document.getElementById("link");
let socket, opening, retry, polling, ended, unannounced;
let failures = 0;
let heardAt = Date.now(); // when the page was last known to be as the server has it
let source = "none"; // what it was heard from

/* What a page says of itself: its socket's address, and when it was painted. */
function standingOf(page) {
  return page.querySelector("[data-socket]")?.dataset ?? {};
}

function connect() {
  clearTimeout(retry);
  socket = new WebSocket(new URL(address, location.href).href.replace(/^http/, "ws"));
  socket.onmessage = ({ data }) => receive(JSON.parse(data));
  socket.onclose = ({ code }) => lose(code);
  opening = setTimeout(() => lose(), OPEN_WITHIN);
}

function receive(message) {
  clearTimeout(opening);
  failures = 0;
  setServerTime(message.at);
  paint(message);
  unannounced = message.unannounced;
  heard("socket");
  socket.send(JSON.stringify({ ack: message.n }));
}

/* A dead line may never be closed: it is left behind, not waited for. */
function lose(code) {
  clearTimeout(opening);
  if (socket) {
    socket.onmessage = socket.onclose = null;
    socket.close();
    socket = null;
  }
  if (source === "socket") source = "none";
  if (FINAL[code]) return finish(FINAL[code]);
  const pause = Math.min(TRY_FIRST * 2 ** failures++, TRY_LAST);
  retry = setTimeout(connect, pause * (0.75 + Math.random() / 2));
  show();
}

async function poll() {
  if (ended || polling || source === "socket") return;
  polling = true;
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN) });
    if (answer.redirected) return finish(FINAL[4401]);
    if (answer.status === 403 || answer.status === 404) return finish(FINAL[4000 + answer.status]);
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const { now } = standingOf(page);
    if (source === "socket" || !now) return;
    setServerTime(now);
    adopt(page);
    heard("poll");
  } catch {
    source = source === "poll" ? "none" : source;
  } finally {
    polling = false;
    show();
  }
}

function heard(from) {
  source = from;
  heardAt = Date.now();
  show();
}

/* A clock that was set back must not make a dead line look alive. */
function silence() {
  return Math.abs(Date.now() - heardAt);
}

function finish(words) {
  ended = words;
  clearTimeout(retry);
  show();
}

function standing() {
  if (ended) return ["ended", ended];
  if (source === "socket" && unannounced) return ["polling", "every 2 s: Redis is away"];
  if (source === "socket") return ["live", "live"];
  if (source === "poll") return ["polling", `every ${POLL_EVERY / 1000} s`];
  if (silence() < PATIENCE) return ["reconnecting", "reconnecting"];
  return ["stale", `stale since ${wallClock(heardAt)}`];
}

function show() {
  const [state, words] = standing();
  badge.dataset.link = state;
  permit(state !== "stale" && state !== "ended");
  if (badge.textContent !== words) badge.textContent = words; // else it is read out again
}

/* Nobody should act on what may long have changed. What the server itself disabled stays so. */
function permit(allowed) {
  for (const button of document.querySelectorAll(allowed ? "[data-stale]" : "main button:enabled")) {
    if (!allowed && button.form?.method !== "post") continue;
    button.disabled = !allowed;
    if (allowed) delete button.dataset.stale;
    else button.dataset.stale = "";
  }
}

function watch() {
  tick();
  const silent = silence();
  if (source === "socket" && silent > HEARD_WITHIN) lose();
  if (source !== "socket" && silent > PATIENCE && (source === "none" || silent > POLL_EVERY)) poll();
  show();
}

function comeBack() {
  if (!ended && source !== "socket") {
    failures = 0;
    lose();
    connect();
  }
}

setServerTime(paintedAt);
rememberZone();
connect();
watch();
setInterval(watch, 1000);
addEventListener("online", comeBack);
addEventListener("pageshow", ({ persisted }) => persisted && comeBack());
