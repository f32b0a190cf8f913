"use strict";
// Player and timeline of each report: seek by clicking, loop a cue's span, move the playhead and the face box.

const LOOP_REST_S = 0.02;

/** A data: address as a blob, because not every browser can seek in a data: address. */
function toBlobAddress(uri) {
  const comma = uri.indexOf(",");
  const raw = atob(uri.slice(comma + 1));
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return URL.createObjectURL(new Blob([bytes], { type: uri.slice(5, uri.indexOf(";")) }));
}

class Report {
  constructor(root) {
    this.root = root;
    this.offset = Number(root.dataset.offset || 0);
    this.length = Number(root.dataset.length || 0);
    this.time = 0;
    this.loop = null;
    this.main = root.querySelector("[data-role=main]");
    this.sound = root.querySelector("[data-role=sound]");
    if (!(this.main instanceof HTMLMediaElement)) {
      this.picture = this.main;
      this.main = this.sound;
      this.sound = null;
    }
    this.still = root.querySelector(".still");
    this.frames = [...root.querySelectorAll(".filmstrip img")];
    this.ruler = root.querySelector(".ruler");
    this.playhead = root.querySelector(".playhead");
    this.words = [...root.querySelectorAll(".word")];
    this.track = root.dataset.track ? JSON.parse(root.dataset.track) : [];
    this.makeOverlay();
    this.listen();
    this.show();
  }

  makeOverlay() {
    const stage = this.root.querySelector(".stage");
    if (!stage || !this.track.length) return;
    const [width, height] = this.root.dataset.frame.split(" ");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "overlay");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("aria-hidden", "true");
    this.box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    svg.append(this.box);
    stage.append(svg);
  }

  listen() {
    for (const element of [this.main, this.sound]) {
      if (!element) continue;
      element.addEventListener("error", () => this.cannotPlay(element), { once: true });
      element.src = toBlobAddress(element.getAttribute("src"));
    }
    if (this.main) {
      this.main.addEventListener("loadedmetadata", () => { if (this.offset || this.time) this.seek(this.time); });
      this.main.addEventListener("seeked", () => this.follow());
      this.main.addEventListener("play", () => { if (this.sound) this.sound.play(); this.tick(); });
      this.main.addEventListener("pause", () => { if (this.sound) this.sound.pause(); });
    }
    if (this.ruler) {
      const grab = (event) => {
        const box = this.ruler.getBoundingClientRect();
        this.endLoop();
        this.seek(((event.clientX - box.left) / box.width) * this.length);
      };
      this.ruler.addEventListener("pointerdown", (event) => { this.ruler.setPointerCapture(event.pointerId); grab(event); });
      this.ruler.addEventListener("pointermove", (event) => { if (event.buttons) grab(event); });
      this.root.querySelector(".filmstrip")?.addEventListener("pointerdown", grab);
    }
    this.root.addEventListener("click", (event) => {
      const target = event.target.closest("button[data-start]");
      if (target) this.play(target);
    });
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  cannotPlay(element) {
    const note = this.root.querySelector(".player-note");
    element.closest(".stage, audio")?.remove();
    if (this.still) this.still.hidden = false;
    if (note) { note.hidden = false; note.textContent = "This browser cannot play the clip; its frames are shown instead."; }
    if (element === this.main) this.main = null;
  }

  /** Play the span of a cue or word again and again, or stop when it is the one that plays. */
  play(target) {
    const again = this.loop && this.loop.target === target;
    this.endLoop();
    if (again) { this.main?.pause(); return; }
    const start = Number(target.dataset.start), end = Number(target.dataset.end);
    this.loop = { start, end: Math.max(end, start + 0.15), target };
    const card = target.dataset.card ? document.getElementById(target.dataset.card) : target.closest(".cue-card");
    const segment = target.dataset.card ? target : card && this.root.querySelector(`[data-card="${card.id}"]`);
    this.marked = [card, segment].filter(Boolean);
    for (const element of this.marked) element.classList.add("playing");
    this.seek(start);
    this.main?.play().catch(() => {});
  }

  endLoop() {
    for (const element of this.marked || []) element.classList.remove("playing");
    this.marked = [];
    this.loop = null;
  }

  seek(time) {
    this.time = Math.min(Math.max(time, 0), this.length || time);
    if (this.main && this.main.readyState > 0) this.main.currentTime = this.offset + this.time;
    if (this.sound && this.sound.readyState > 0) this.sound.currentTime = this.offset + this.time;
    this.show();
  }

  follow() {
    if (!this.main) return;
    this.time = this.main.currentTime - this.offset;
    this.show();
  }

  tick() {
    if (!this.main || this.main.paused) return;
    this.follow();
    const end = this.loop ? this.loop.end : this.length || Infinity;
    if (this.time >= end - LOOP_REST_S) {
      if (this.loop) this.seek(this.loop.start);
      else if (this.time > end + 0.3 || this.offset) this.main.pause();
    }
    requestAnimationFrame(() => this.tick());
  }

  show() {
    const share = this.length ? Math.min(Math.max(this.time / this.length, 0), 1) : 0;
    if (this.playhead) { this.playhead.hidden = false; this.playhead.style.left = `${share * 100}%`; }
    if (this.ruler) {
      this.ruler.setAttribute("aria-valuenow", this.time.toFixed(2));
      this.ruler.setAttribute("aria-valuetext", `${this.time.toFixed(2)} seconds`);
    }
    for (const word of this.words) {
      word.classList.toggle("now", this.time >= Number(word.dataset.start) && this.time < Number(word.dataset.end));
    }
    if (this.still && this.frames.length) {
      this.still.src = this.frames[Math.min(this.frames.length - 1, Math.floor(share * this.frames.length))].src;
    }
    this.showBox();
  }

  showBox() {
    if (!this.box) return;
    let before = null, after = null;
    for (const entry of this.track) {
      if (entry.length < 5) continue;
      if (entry[0] <= this.time) before = entry;
      else { after = entry; break; }
    }
    const near = before || after;
    if (!near) { this.box.setAttribute("width", 0); return; }
    const share = before && after ? (this.time - before[0]) / (after[0] - before[0]) : 0;
    const [x0, y0, x1, y1] = [1, 2, 3, 4].map((i) => near[i] + (before && after ? (after[i] - before[i]) * share : 0));
    const nearest = this.track.reduce((a, b) => (Math.abs(b[0] - this.time) < Math.abs(a[0] - this.time) ? b : a));
    this.box.setAttribute("x", x0);
    this.box.setAttribute("y", y0);
    this.box.setAttribute("width", Math.max(x1 - x0, 0));
    this.box.setAttribute("height", Math.max(y1 - y0, 0));
    this.box.classList.toggle("lost", nearest.length < 5);
  }

  key(event) {
    if (event.key === "Escape") { this.endLoop(); this.main?.pause(); return; }
    if (!event.target.closest(".timeline")) return;
    const step = event.shiftKey ? 1 : 0.1;
    const moves = { ArrowLeft: this.time - step, ArrowRight: this.time + step, Home: 0, End: this.length };
    if (event.key in moves) {
      event.preventDefault();
      this.endLoop();
      this.seek(moves[event.key]);
    } else if (event.key === " " && event.target === this.ruler && this.main) {
      event.preventDefault();
      if (this.main.paused) this.main.play().catch(() => {});
      else this.main.pause();
    }
  }
}

for (const root of document.querySelectorAll("article.report[data-offset]")) new Report(root);
