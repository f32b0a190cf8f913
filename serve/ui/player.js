// The clip: picture or sound in step with the time axis, loop of a span, speed, and the box of the face that was read.

import { h, icon, put, s } from "./dom.js";
import { clock } from "./wording.js";

const LOOP_REST_S = 0.02;
const SPEEDS = [0.25, 0.5, 0.75, 1, 1.5, 2];
const DRAW_EVERY_MS = 30;

export class Player extends EventTarget {
  /**
   * Events: `time` (the position has changed), `loop` (a loop began or ended), `length` (the length became known).
   * @param {{url: string|null, kind: "video"|"audio"|"image"|"words", name: string, said: string}} clip
   */
  constructor(clip) {
    super();
    this.clip = clip;
    this.offset = 0; // seconds of the file before the span that was read
    this.length = 0;
    this.time = 0;
    this.loop = null;
    this.boxes = [];
    this.stage = h("div", { class: "stage" });
    this.note = h("p", { class: "player-note", hidden: true });
    this.transport = this.makeTransport();
    this.root = h("div", { class: `card screen kind-${clip.kind}` }, this.stage, this.note, this.transport);
    this.makeMedia();
  }

  makeMedia() {
    const { url, kind, name, said } = this.clip;
    if (kind === "words") put(this.stage, h("blockquote", { class: "quote" }, said));
    else if (kind === "image") put(this.stage, h("img", { src: url, alt: `the picture ${name}` }));
    else {
      this.media = h(kind, { src: url, preload: "auto", playsinline: true, "aria-label": name });
      this.media.addEventListener("loadedmetadata", () => this.settle());
      this.media.addEventListener("durationchange", () => this.settle());
      this.media.addEventListener("error", () => this.cannotPlay());
      this.media.addEventListener("seeked", () => { if (this.media?.paused) this.follow(); });
      for (const event of ["play", "pause"]) this.media.addEventListener(event, () => this.changed());
      this.media.addEventListener("play", () => this.tick());
      if (kind === "video") this.media.addEventListener("click", () => this.toggle());
      put(this.stage, this.media, kind === "audio" ? h("div", { class: "sound-mark" }, icon("voice"), h("span", {}, name)) : null);
    }
    this.transport.hidden = !this.media;
  }

  makeTransport() {
    this.playButton = h("button", { type: "button", class: "round", onclick: () => this.toggle() }, icon("play"));
    this.readout = h("output", { class: "readout" });
    this.speed = h("select", { "aria-label": "Speed", onchange: () => this.setSpeed(Number(this.speed.value)) },
      SPEEDS.map((value) => h("option", { value, selected: value === 1 }, `${value}×`)));
    this.muteButton = h("button", { type: "button", class: "plain", onclick: () => { this.media.muted = !this.media.muted; this.changed(); } }, icon("sound"));
    this.loopChip = h("button", { type: "button", class: "loop-chip", hidden: true, onclick: () => this.endLoop() });
    return h("div", { class: "transport", role: "group", "aria-label": "Player" },
      this.playButton, this.readout, this.loopChip, h("span", { class: "grow" }), this.speed, this.muteButton);
  }

  /** The span of the file that was read, and where the face was. */
  setReport({ offset, length, track }) {
    this.offset = offset || 0;
    if (length) this.length = length;
    this.boxes = track ? track.boxes : [];
    if (track && track.boxes.some((one) => one.box)) this.makeOverlay(track);
    if (this.media && this.media.readyState > 0 && Math.abs(this.media.currentTime - this.offset - this.time) > 0.05) this.seek(this.time);
    this.show();
  }

  makeOverlay(track) {
    if (this.unplayable) return; // there is no picture to draw on
    this.overlay?.remove();
    this.box = s("rect", { rx: 6 });
    this.overlay = s("svg", { class: "overlay", viewBox: `0 0 ${track.frame_width} ${track.frame_height}`, "aria-hidden": "true" }, this.box);
    this.stage.append(this.overlay);
  }

  settle() {
    const { duration } = this.media;
    if (Number.isFinite(duration) && !this.length) {
      this.length = Math.max(0, duration - this.offset);
      this.dispatchEvent(new Event("length"));
    }
    if (this.offset || this.time) this.media.currentTime = this.offset + this.time;
    this.stage.classList.toggle("no-picture", this.clip.kind === "video" && !this.media.videoWidth);
    this.show();
  }

  cannotPlay() {
    this.media = null;
    this.box = null;
    this.unplayable = true;
    this.transport.hidden = true;
    put(this.stage, h("div", { class: "sound-mark" }, icon("file"), h("span", {}, this.clip.name)));
    this.note.hidden = false;
    this.noteOf(this.status);
  }

  /** Tell what it means that the file cannot be played, as far as the run has come. */
  noteOf(status) {
    this.status = status;
    const more = { running: " The server may still be able to read it.", done: " The server could read it." }[status] || "";
    if (this.unplayable) put(this.note, `This browser cannot play the file.${more}`);
  }

  /** Bring the clip into view, if it is not. */
  lookAt() {
    const box = this.root.getBoundingClientRect();
    if (box.top < 0 || box.bottom > window.innerHeight) this.root.scrollIntoView({ block: box.top < 0 ? "start" : "end", behavior: "smooth" });
  }

  get playing() { return Boolean(this.media) && !this.media.paused; }

  toggle() {
    if (!this.media) return;
    if (this.playing) this.media.pause();
    else {
      if (this.length && this.time >= this.length - LOOP_REST_S && !this.loop) this.seek(0);
      this.media.play().catch(() => {});
    }
  }

  pause() { this.media?.pause(); }

  setSpeed(value) {
    if (!this.media) return;
    this.media.playbackRate = value;
    this.speed.value = String(value);
  }

  /** One step faster (1) or slower (-1). */
  stepSpeed(direction) {
    const at = SPEEDS.indexOf(this.media?.playbackRate ?? 1);
    this.setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + direction))]);
  }

  /** Play a span again and again; the same span once more ends it. */
  playLoop(start, end, id) {
    const same = this.loop && this.loop.id === id;
    this.endLoop();
    if (same) { this.pause(); return; }
    this.loop = { start, end: Math.max(end, start + 0.15), id };
    this.dispatchEvent(new Event("loop"));
    this.seek(start);
    this.media?.play().catch(() => {});
    this.changed();
  }

  endLoop() {
    if (!this.loop) return;
    this.loop = null;
    this.dispatchEvent(new Event("loop"));
    this.changed();
  }

  seek(time) {
    this.time = Math.min(Math.max(time, 0), this.length || Math.max(time, 0));
    if (this.media && this.media.readyState > 0) this.media.currentTime = this.offset + this.time;
    this.show();
  }

  follow() {
    if (!this.media) return;
    this.time = Math.max(0, this.media.currentTime - this.offset);
    this.show();
  }

  tick() {
    if (!this.playing) return;
    const now = performance.now();
    if (now - (this.drawn || 0) >= DRAW_EVERY_MS) {
      this.drawn = now;
      this.follow();
      const end = this.loop ? this.loop.end : this.length || Infinity;
      if (this.time >= end - LOOP_REST_S) {
        if (this.loop) this.seek(this.loop.start);
        else if (this.offset || this.time > end + 0.3) this.media.pause();
      }
    }
    requestAnimationFrame(() => this.tick());
  }

  changed() {
    const label = this.playing ? "Pause" : "Play";
    put(this.playButton, icon(this.playing ? "pause" : "play"));
    this.playButton.setAttribute("aria-label", label);
    this.playButton.title = `${label} (space)`;
    put(this.muteButton, icon(this.media?.muted ? "muted" : "sound"));
    this.muteButton.setAttribute("aria-label", this.media?.muted ? "Sound on" : "Sound off");
    this.loopChip.hidden = !this.loop;
    if (this.loop) {
      put(this.loopChip, icon("loop"), `${clock(this.loop.start)}–${clock(this.loop.end)}`, icon("close"));
      this.loopChip.setAttribute("aria-label", "End the loop");
    }
  }

  show() {
    put(this.readout, h("b", {}, clock(this.time)), this.length ? ` of ${clock(this.length)}` : "");
    this.changed();
    this.showBox();
    this.dispatchEvent(new Event("time"));
  }

  /** The face box between the two samples around the playhead; dashed where the face was not found. */
  showBox() {
    if (!this.box) return;
    let before = null, after = null, nearest = this.boxes[0];
    for (const one of this.boxes) {
      if (Math.abs(one.time - this.time) < Math.abs(nearest.time - this.time)) nearest = one;
      if (!one.box) continue;
      if (one.time <= this.time) before = one;
      else if (!after) after = one;
    }
    const near = before || after;
    if (!near) return;
    const share = before && after ? (this.time - before.time) / (after.time - before.time) : 0;
    const [x0, y0, x1, y1] = near.box.map((value, i) => (before && after ? value + (after.box[i] - before.box[i]) * share : value));
    for (const [name, value] of [["x", x0], ["y", y0], ["width", x1 - x0], ["height", y1 - y0]]) {
      this.box.setAttribute(name, Math.max(0, value).toFixed(1));
    }
    this.box.classList.toggle("lost", !nearest.box);
  }

  close() {
    this.pause();
    this.media?.removeAttribute("src");
    this.media?.load();
  }
}
