/* Alerts, of the board and on their own page: acknowledged without leaving the page, and heard where this browser is
   asked to. The sound is made here, for no file then has to be fetched when it matters. */

const KEPT = "alert-sound"; // in this browser
const TONES = [[880, 0], [1175, 0.16]]; // hertz, seconds from the start
const LONG = 0.14; // seconds
const LOUD = 0.15;

const strip = document.getElementById("alerts");
const form = document.getElementById("acknowledge");
const toggle = document.getElementById("alert-sound");
const title = document.title;
let speaker;
let heard = newest(); // what was there already needs no sound

function newest() {
  return Number(document.getElementById("alerts")?.dataset.newest ?? 0);
}

function wanted() {
  return localStorage.getItem(KEPT) === "on";
}

/* Browsers let no page sound before it was touched once. */
async function chime() {
  speaker ??= new AudioContext();
  await speaker.resume();
  for (const [hertz, after] of TONES) {
    const tone = new OscillatorNode(speaker, { frequency: hertz });
    const volume = new GainNode(speaker, { gain: 0 });
    const start = speaker.currentTime + after;
    volume.gain.setValueAtTime(0, start);
    volume.gain.linearRampToValueAtTime(LOUD, start + 0.01);
    volume.gain.exponentialRampToValueAtTime(0.001, start + LONG);
    tone.connect(volume).connect(speaker.destination);
    tone.start(start);
    tone.stop(start + LONG);
  }
  toggle.dataset.chimes = Number(toggle.dataset.chimes ?? 0) + 1;
}

function showToggle() {
  const blocked = wanted() && !navigator.userActivation?.hasBeenActive;
  toggle.hidden = false;
  toggle.setAttribute("aria-pressed", String(wanted()));
  toggle.textContent = blocked ? "Sound: click the page" : wanted() ? "Sound on" : "Sound off";
}

function look() {
  const now = newest();
  if (now > heard && wanted()) chime();
  heard = Math.max(heard, now);
  nameTab();
}

/* How many are open is seen from another tab too. */
function nameTab() {
  const count = strip.querySelector("b")?.textContent;
  document.title = count ? `(${count}) ${title}` : title;
}

async function acknowledge(event) {
  const button = event.submitter;
  if (button?.name !== "alert") return;
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form, button)); // a disabled button would not count
  button.disabled = true;
  const answer = await fetch(form.action, { method: "POST", body, headers: { "X-Live": "1" } }).catch(() => null);
  if (answer?.status === 204) return; // the socket tells the rest
  button.disabled = false;
  button.textContent = answer ? "Refused: reload the page" : "Not saved: try again";
}

toggle.addEventListener("click", () => {
  localStorage.setItem(KEPT, wanted() ? "off" : "on");
  if (wanted()) chime();
  showToggle();
});
form?.addEventListener("submit", acknowledge);
/* The second click of a double one would hit the alert that has moved up. */
document.addEventListener("click", (event) => {
  if (event.detail > 1 && event.target.closest("button[name=alert]")) event.preventDefault();
});
new MutationObserver(look).observe(strip, { attributeFilter: ["data-newest"], childList: true, characterData: true, subtree: true });
for (const touched of ["pointerdown", "keydown"]) addEventListener(touched, () => setTimeout(showToggle), { once: true });
showToggle();
nameTab();
