/* The utterances of the transcript: which of them is spoken, and where the next one begins. */

const ROUNDING = 0.02; // seconds that a browser may be off a moment it was told to seek
const SHORTEST = 1; // seconds that an utterance without a length is shown

export class Lines {
  constructor(section) {
    this.section = section;
    this.read();
  }

  /* The transcript may have changed. */
  read() {
    this.all = [...this.section.querySelectorAll("li[data-start]")].map((item) => {
      const [start, end] = [Number(item.dataset.start), Number(item.dataset.end)];
      return { item, start, end: end > start ? end : start + SHORTEST };
    });
  }

  /* Marks what is spoken at a moment; the first of it. */
  mark(time) {
    const spoken = this.all.filter(({ start, end }) => start - ROUNDING <= time && time < end - ROUNDING);
    const items = spoken.map(({ item }) => item);
    for (const item of this.section.querySelectorAll("[aria-current]")) {
      if (!items.includes(item)) item.removeAttribute("aria-current");
    }
    for (const item of items) {
      if (!item.hasAttribute("aria-current")) item.setAttribute("aria-current", "true");
    }
    return items[0];
  }

  /* Where the utterance after or before a moment begins; the one under way counts as before. */
  beside(time, direction) {
    const starts = this.all.map(({ start }) => start);
    if (direction > 0) return starts.find((start) => start > time + ROUNDING);
    return starts.findLast((start) => start < time - 1) ?? 0;
  }
}
