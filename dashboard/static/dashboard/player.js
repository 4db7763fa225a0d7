/* The player of a call's page: native audio, and around it the picture, the transcript that
   follows, and keys. Without this script the audio plays all the same. */

import { span } from "./clocks.js";
import { Lines } from "./lines.js";
import { Waveform } from "./waveform.js";

const STEP = 5; // seconds
const AFTER_FAILURE = {
  403: "You may not hear this any more.",
  404: "No packet of the call holds audio that can be decoded.",
};
const UNREACHABLE = "The recording could not be loaded.";
const OWN_KEYS = "input, textarea, select, audio, [contenteditable], [tabindex]";
const PRESSED_BY_SPACE = "button, summary";

const section = document.getElementById("player");
const transcript = document.getElementById("transcript");
const conversation = document.getElementById("conversation");
const lines = new Lines(transcript);
const still = matchMedia("(prefers-reduced-motion: reduce)");
let deck; // of a call that can be heard

class Deck {
  constructor(box) {
    this.box = box;
    this.audio = box.querySelector("audio");
    this.speed = box.querySelector("[name=speed]");
    this.follow = box.querySelector("[name=follow]");
    this.again = box.querySelector("[name=again]");
    this.words = box.querySelector("[role=status]");
    this.waveform = new Waveform(box.querySelector("canvas"), (share) => this.seek(share * this.seconds));
    this.version = section.dataset.version;
    this.begun = false; // whether anybody has played or sought
    for (const part of box.querySelectorAll(".controls, .keys")) part.hidden = false;
    this.listen();
    this.drawWaveform();
    this.goToAddress();
  }

  listen() {
    const { audio } = this;
    audio.addEventListener("play", () => this.run());
    audio.addEventListener("seeked", () => this.show());
    audio.addEventListener("waiting", () => this.say("Loading …"));
    audio.addEventListener("playing", () => this.say(""));
    audio.addEventListener("error", () => this.fail());
    audio.addEventListener("ratechange", () => (this.speed.value = String(audio.playbackRate)));
    this.speed.addEventListener("change", () => this.setSpeed(Number(this.speed.value)));
    this.again.addEventListener("click", () => this.load());
  }

  async drawWaveform() {
    const answer = await fetch(this.box.dataset.waveform).catch(() => null);
    if (!answer || answer.redirected) return;
    if (!answer.ok) return answer.status === 404 && this.say(AFTER_FAILURE[404]);
    const { seconds, peaks } = await answer.json();
    this.seconds = seconds;
    this.waveform.peaks = peaks;
    this.show();
    stretchChart();
  }

  play(time) {
    if (time !== undefined) this.seek(time);
    this.audio.play().catch(() => {}); // what went wrong is told by its "error"
  }

  /* Before anything is loaded the audio begins there when it is played. */
  seek(time) {
    this.begun = true;
    this.audio.currentTime = Math.max(time, 0);
    this.show();
  }

  setSpeed(speed) {
    this.audio.defaultPlaybackRate = this.audio.playbackRate = speed;
  }

  faster(direction) {
    const speeds = [...this.speed.options].map(({ value }) => Number(value));
    const now = speeds.indexOf(this.audio.playbackRate);
    this.setSpeed(speeds[Math.min(Math.max(now + direction, 0), speeds.length - 1)]);
  }

  run() {
    this.begun = true;
    this.show();
    if (!this.audio.paused && !this.audio.ended) requestAnimationFrame(() => this.run());
  }

  show() {
    const time = this.audio.currentTime;
    if (this.seconds) this.waveform.played = Math.min(time / this.seconds, 1);
    const spoken = this.begun ? lines.mark(time) : undefined;
    if (spoken && spoken !== this.spoken && this.follow.checked) {
      spoken.scrollIntoView({ block: "nearest", behavior: still.matches ? "auto" : "smooth" });
    }
    this.spoken = spoken;
  }

  /* `#t=12.5` leads to a second of the recording. */
  goToAddress() {
    const time = /^#t=([0-9.]+)$/.exec(location.hash);
    if (time) this.seek(Number(time[1]) || 0);
  }

  /* The call may have got more packets; who is listening is not interrupted. */
  look() {
    if (section.dataset.version === this.version) return;
    if (!this.begun) return this.load();
    this.say("More of the call came since.");
    this.again.hidden = false;
  }

  load() {
    const { currentTime, paused } = this.audio;
    this.version = section.dataset.version;
    this.again.hidden = true;
    this.say("");
    if (this.begun) {
      this.audio.load();
      this.audio.currentTime = currentTime;
      if (!paused) this.play();
    }
    this.drawWaveform();
  }

  async fail() {
    this.again.hidden = false;
    this.say(UNREACHABLE);
    const { currentSrc } = this.audio;
    const answer = await fetch(currentSrc, { headers: { Range: "bytes=0-0" } }).catch(() => null);
    if (answer) this.say(answer.redirected ? "You are signed out: reload to sign in." : AFTER_FAILURE[answer.status] ?? UNREACHABLE);
  }

  say(words) {
    if (this.words.textContent !== words) this.words.textContent = words;
  }
}

const KEYS = {
  " ": () => (deck.audio.paused ? deck.play() : deck.audio.pause()),
  ArrowLeft: () => deck.seek(deck.audio.currentTime - STEP),
  ArrowRight: () => deck.seek(Math.min(deck.audio.currentTime + STEP, deck.seconds ?? Infinity)),
  "Shift ArrowLeft": () => deck.seek(lines.beside(deck.audio.currentTime, -1)),
  "Shift ArrowRight": () => deck.seek(lines.beside(deck.audio.currentTime, 1) ?? deck.audio.currentTime),
  "Shift ArrowUp": () => deck.faster(1),
  "Shift ArrowDown": () => deck.faster(-1),
};

/* Not while somebody types, nor where the key means something else. */
function press(event) {
  const { key, target } = event;
  const act = KEYS[(event.shiftKey ? "Shift " : "") + key];
  if (!deck || !act || event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
  if (target.closest?.(OWN_KEYS) || (key === " " && (event.repeat || target.closest?.(PRESSED_BY_SPACE)))) return;
  event.preventDefault();
  act();
}

/* A click on an utterance, unless it selects text or asks for another window. */
function pick(event) {
  const item = event.target.closest("li[data-start]");
  const link = event.target.closest("a");
  if (!deck || !item || event.ctrlKey || event.metaKey || event.shiftKey || (link && !link.matches(".at"))) return;
  if (!link && !getSelection().isCollapsed) return;
  event.preventDefault();
  deck.play(Number(item.dataset.start));
}

/* As long as the picture above it, which goes on after the last word. */
function stretchChart() {
  const chart = conversation.querySelector("[data-seconds]");
  if (!chart || !deck?.seconds) return;
  const width = Math.round((1000 * deck.seconds) / Number(chart.dataset.seconds));
  const box = `0 0 ${width} 100`;
  if (!(width > 1000) || chart.getAttribute("viewBox") === box) return;
  chart.setAttribute("viewBox", box);
  conversation.querySelector("[data-end]").textContent = span(deck.seconds);
}

function begin() {
  const box = section.querySelector("[data-waveform]");
  if (box && box !== deck?.box) deck = new Deck(box);
  deck?.look();
}

function reread() {
  lines.read();
  deck?.show();
}

begin();
new MutationObserver(begin).observe(section, { childList: true, attributeFilter: ["data-version"] });
new MutationObserver(reread).observe(transcript, { childList: true, subtree: true, attributeFilter: ["data-start", "data-end", "aria-current"] });
new MutationObserver(stretchChart).observe(conversation, { childList: true, subtree: true, attributeFilter: ["viewBox"] });
addEventListener("keydown", press);
addEventListener("hashchange", () => deck?.goToAddress());
transcript.addEventListener("click", pick);
