/* Times as the viewer reads them: in his zone, as ages and as countdowns. The server's clock
   counts, for the viewer's may be wrong. */

const LIVELY = 5, QUIET = 15; // seconds since the last packet
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

let ahead = 0; // milliseconds that the server's clock is ahead of ours

export function setServerTime(iso) {
  ahead = Date.parse(iso) - Date.now();
}

export function wallClock(ours) {
  return CLOCK.format(new Date(ours));
}

export function span(seconds) {
  const whole = Math.max(Math.floor(seconds), 0);
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

const WORDS = {
  moment(at, now) {
    const date = new Date(at);
    return date.toDateString() === new Date(now).toDateString() ? CLOCK.format(date) : DAY.format(date);
  },
  since: (at, now) => span((now - at) / 1000),
  until: (at, now) => (at > now ? `in ${span((at - now) / 1000 + 1)}` : "now"),
  pulse(at, now, element) {
    const age = Math.max((now - at) / 1000, 0);
    element.dataset.level = age < LIVELY ? "lively" : age < QUIET ? "quiet" : "silent";
    return age < LIVELY ? "live" : `${element.dataset.level} ${span(age)}`;
  },
};

export function tick() {
  const now = Date.now() + ahead;
  for (const element of document.querySelectorAll("[data-clock]")) {
    const at = Date.parse(element.dateTime || element.dataset.at);
    const words = WORDS[element.dataset.clock](at, now, element);
    if (element.textContent !== words) element.textContent = words;
    if (element.dateTime && element.dataset.titled !== element.dateTime) {
      element.title = FULL.format(new Date(at));
      element.dataset.titled = element.dateTime;
    }
  }
}

export function rememberZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax`;
}
