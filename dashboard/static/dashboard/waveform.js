/* The picture of a recording: the caller above, the agent below; a click seeks. */

const BAR = 2, GAP = 1; // pixels
const STILL_TO_COME = 0.45; // opacity

export class Waveform {
  /* `onseek` is given a share of the time. */
  constructor(canvas, onseek) {
    this.canvas = canvas;
    this.tracks = [];
    this.share = 0;
    const seek = ({ offsetX }) => onseek(Math.min(Math.max(offsetX / canvas.clientWidth, 0), 1));
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      seek(event);
    };
    canvas.onpointermove = (event) => event.buttons && seek(event);
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /* Peaks of 0 to 100 by track, equally long. */
  set peaks(peaks) {
    this.tracks = Object.entries(peaks);
    this.loudest = Math.max(1, ...this.tracks.flatMap(([, columns]) => columns));
    this.canvas.hidden = false;
    this.draw();
  }

  /* How much of the time has been played. */
  set played(share) {
    if (share === this.share) return;
    this.share = share;
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const sharp = devicePixelRatio || 1;
    this.canvas.width = width * sharp;
    this.canvas.height = height * sharp;
    const pen = this.canvas.getContext("2d");
    pen.scale(sharp, sharp);
    const lane = height / this.tracks.length;
    this.tracks.forEach(([track, peaks], row) => this.drawTrack(pen, track, peaks, width, lane, row * lane));
    pen.globalAlpha = 1;
    pen.fillStyle = this.colour("--text");
    pen.fillRect(Math.min(this.share * width, width - 2), 0, 2, height);
  }

  drawTrack(pen, track, peaks, width, height, top) {
    pen.fillStyle = this.colour(track === "outbound" ? "--busy" : "--accent");
    const bars = Math.min(Math.floor(width / (BAR + GAP)), peaks.length);
    const step = width / bars;
    for (let bar = 0; bar < bars; bar++) {
      const [first, last] = [bar, bar + 1].map((edge) => Math.floor((edge * peaks.length) / bars));
      const loudness = Math.sqrt(Math.max(...peaks.slice(first, last)) / this.loudest); // as it is heard
      const size = Math.max(loudness * (height - 2), 1);
      pen.globalAlpha = (bar + 1) / bars <= this.share ? 1 : STILL_TO_COME;
      pen.fillRect(bar * step, top + (height - size) / 2, Math.max(step - GAP, 1), size);
    }
  }

  colour(name) {
    return getComputedStyle(this.canvas).getPropertyValue(name);
  }
}
