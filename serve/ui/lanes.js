// The time axis: a ruler, then one lane per channel with cues, curves and words, all placed in per cent of its length.

import { affectRow, chooseSignals, curveRow, signalChannel, waveRow } from "./curves.js";
import { h, icon, put } from "./dom.js";
import { tone } from "./palette.js";
import { CHANNELS, VERDICT_TEXT, clock, cueSentence, hasSpan, verdict } from "./wording.js";

const MIN_CUE_SHARE = 0.012;
const WORD_PX = 56;
const TICK_PX = 56;
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800];
const ZOOMS = [1, 2, 4, 8, 16, 32];

/** Cues in as few rows as possible, without overlap; cues for the whole clip come first. */
export function pack(cues, duration) {
  const rows = [], ends = [];
  const begin = (cue) => (hasSpan(cue) ? cue.start : 0), until = (cue) => (hasSpan(cue) ? cue.end : duration);
  const ordered = [...cues].sort((a, b) => (hasSpan(a) ? a.start : -1) - (hasSpan(b) ? b.start : -1) || until(a) - until(b));
  for (const cue of ordered) {
    let row = ends.findIndex((end) => begin(cue) >= end - 1e-9);
    if (row < 0) { row = rows.length; rows.push([]); }
    rows[row].push(cue);
    ends[row] = until(cue);
  }
  return rows;
}

/** Spans in which cues of two channels support no common emotion. */
export function clashes(cues) {
  const found = [];
  const timed = cues.filter((cue) => hasSpan(cue) && cue.supports.length);
  timed.forEach((a, i) => timed.slice(i + 1).forEach((b) => {
    const start = Math.max(a.start, b.start), end = Math.min(a.end, b.end);
    if (a.channel === b.channel || end - start < 0.05 || a.supports.some((label) => b.supports.includes(label))) return;
    found.push({ start, end, text: `${a.channel} (${a.supports.join(", ")}) against ${b.channel} (${b.supports.join(", ")})` });
  }));
  return found;
}

/** Words joined into phrases of at least `shortest` seconds where they would be too narrow to read. */
export function phrases(words, shortest) {
  const joined = [];
  for (const word of words) {
    const last = joined.at(-1);
    const narrow = last && last.end - last.start < shortest && word.start - last.end < shortest;
    if (narrow) joined[joined.length - 1] = { text: `${last.text} ${word.text}`, start: last.start, end: word.end };
    else joined.push(word);
  }
  return joined;
}

export class Lanes {
  /** @param {import("./player.js").Player} player @param {(cue: object) => void} onCue */
  constructor(player, onCue) {
    this.player = player;
    this.onCue = onCue;
    this.zoom = 1;
    this.peaks = null;
    this.data = null;
    this.scroll = h("div", { class: "scroll", tabindex: "-1" });
    this.zoomOut = h("button", { type: "button", class: "plain small", "aria-label": "Zoom out", onclick: () => this.zoomBy(-1) }, "−");
    this.zoomIn = h("button", { type: "button", class: "plain small", "aria-label": "Zoom in", onclick: () => this.zoomBy(1) }, "+");
    this.zoomText = h("output", { class: "zoom-text" }, "1×");
    const zoom = h("span", { class: "zoom", role: "group", "aria-label": "Zoom of the timeline" }, this.zoomOut, this.zoomText, this.zoomIn);
    this.root = h("section", { class: "card lanes", hidden: true }, h("h3", {}, "Timeline", h("span", { class: "grow" }), zoom), this.scroll, legend());
    player.addEventListener("time", () => this.show());
    player.addEventListener("length", () => this.render());
    player.addEventListener("loop", () => this.mark());
  }

  /** Draw what is known: a report, or what of it is there while it is being written. */
  set(data) {
    this.data = data;
    this.render();
  }

  setPeaks(peaks) {
    this.peaks = peaks;
    this.render();
  }

  zoomBy(direction) {
    this.zoom = ZOOMS[Math.min(ZOOMS.length - 1, Math.max(0, ZOOMS.indexOf(this.zoom) + direction))];
    this.render();
    this.reveal();
  }

  get length() {
    const data = this.data || {};
    if (data.duration || this.player.length) return data.duration || this.player.length;
    return Math.max(0, ...(data.cues || []).map((cue) => cue.end || 0), ...(data.words || []).map((word) => word.end || 0));
  }

  place(element, start, end) {
    const left = Math.max(0, Math.min(1, start / this.length));
    element.style.left = `${left * 100}%`;
    element.style.width = `${Math.max(MIN_CUE_SHARE / this.zoom, Math.min(1, end / this.length) - left) * 100}%`;
    return element;
  }

  render() {
    this.root.hidden = !this.data || !this.length;
    if (this.root.hidden) return;
    const at = this.scroll.scrollLeft;
    this.spans = [];
    this.playhead = h("div", { class: "playhead" });
    this.axis = h("div", { class: "timeline", role: "group", "aria-label": "Cues over time" },
      this.ruler(), this.emotionLane(), this.affectLane(), this.conflictLane(), CHANNELS.map((channel) => this.lane(channel)),
      h("div", { class: "over", "aria-hidden": "true" }, this.playhead));
    this.axis.style.setProperty("--zoom", this.zoom);
    put(this.scroll, this.axis);
    this.scroll.scrollLeft = at;
    this.zoomText.textContent = `${this.zoom}×`;
    this.zoomOut.disabled = this.zoom === ZOOMS[0];
    this.zoomIn.disabled = this.zoom === ZOOMS.at(-1);
    this.mark();
    this.show();
  }

  row(name, label, symbol, ...body) {
    return h("div", { class: `lane lane-${name}` },
      h("div", { class: "lane-name", title: label }, symbol ? icon(symbol) : null, h("span", {}, label)), h("div", { class: "lane-body" }, body));
  }

  ruler() {
    const most = Math.max(3, Math.min(10, (this.scroll.clientWidth || 900) / TICK_PX)) * this.zoom;
    const step = STEPS.find((one) => this.length / one <= most) || this.length;
    const marks = Array.from({ length: Math.floor(this.length / step + 1e-9) + 1 }, (_, i) => i * step).map((time) => {
      const text = this.length < 60 ? `${time.toFixed(step < 1 ? 1 : 0)}` : clock(time, 0).replace(/ s$/, "").padStart(4, "0:0");
      const tick = h("span", { class: time / this.length > 1 - 0.06 / this.zoom ? "tick at-end" : "tick" }, h("span", {}, text, this.length < 60 ? h("i", {}, " s") : null));
      tick.style.left = `${(time / this.length) * 100}%`;
      return tick;
    });
    this.slider = h("div", {
      class: "ruler", role: "slider", tabindex: 0, "aria-label": "Position in the clip, in seconds", "aria-valuemin": 0,
      "aria-valuemax": this.length.toFixed(2),
    }, marks);
    const grab = (event) => {
      const box = this.slider.getBoundingClientRect();
      this.player.endLoop();
      this.player.seek(((event.clientX - box.left) / box.width) * this.length);
    };
    this.slider.addEventListener("pointerdown", (event) => { this.slider.setPointerCapture(event.pointerId); grab(event); });
    this.slider.addEventListener("pointermove", (event) => { if (event.buttons) grab(event); });
    return h("div", { class: "lane lane-time" }, h("div", { class: "lane-name" }, h("span", {}, "time")), this.slider);
  }

  /** The emotion of each segment of a long clip. */
  emotionLane() {
    const segments = this.data.segments;
    if (!segments?.length) return null;
    const ribbons = segments.map((one) => {
      const share = one.distribution[one.label], text = one.unsure ? `${one.label}?` : one.label || "none";
      const said = `${clock(one.start)} to ${clock(one.end)}: ${one.label || "no emotion"}${share ? ` ${share.toFixed(2)}` : ""}${one.unsure ? ", unsure" : ""}`;
      const button = h("button", { type: "button", class: `ribbon${one.unsure ? " unsure" : ""}`, title: said, "aria-label": said,
        onclick: () => this.player.playLoop(one.start, one.end, `segment-${one.index}`) }, h("span", {}, text));
      button.style.setProperty("--tone", tone(one.label));
      this.spans.push([button, `segment-${one.index}`]);
      return this.place(button, one.start, one.end);
    });
    const gaps = (this.data.gaps || []).map((gap) =>
      this.place(h("span", { class: "gap", title: `not read: ${gap.error.message}` }, "not read"), gap.start, gap.end));
    return this.row("emotion", "emotion", "emotion", h("div", { class: "cue-row" }, ribbons, gaps));
  }

  affectLane() {
    const segments = this.data.segments;
    if (!segments?.some((one) => one.valence !== null)) return null;
    return this.row("affect", "affect", "affect", ["valence", "arousal"].map((name) => affectRow(name, segments, this.length)));
  }

  conflictLane() {
    const of = (this.data.segments || []).filter((one) => one.conflict).map((one) => ({ start: one.start, end: one.end, text: one.conflict_text || "channels disagree" }));
    const marks = [...of, ...clashes(this.data.cues)];
    const whole = this.data.agreement?.conflict && !this.data.segments?.length;
    if (whole) marks.push({ start: 0, end: this.length, text: this.data.agreement.conflicting.map(([a, b]) => `${a} against ${b}`).join("; ") });
    if (!marks.length) return null;
    const buttons = marks.map((mark, i) => {
      const said = `channels disagree, ${clock(mark.start)} to ${clock(mark.end)}: ${mark.text}`;
      const button = h("button", { type: "button", class: "clash", title: said, "aria-label": said,
        onclick: () => this.player.playLoop(mark.start, mark.end, `clash-${i}`) }, icon("conflict"), h("span", {}, mark.text));
      this.spans.push([button, `clash-${i}`]);
      return { start: mark.start, end: mark.end, button };
    });
    const rows = pack(buttons, this.length).map((row) => h("div", { class: "cue-row" }, row.map((one) => this.place(one.button, one.start, one.end))));
    return this.row("conflict", "disagree", "conflict", rows);
  }

  lane(channel) {
    const { cues, signals = {}, words = [], streams = {} } = this.data;
    const own = cues.filter((cue) => cue.channel === channel);
    const mine = Object.fromEntries(Object.entries(signals).filter(([name, one]) => signalChannel(name) === channel && one.times.length));
    const shown = chooseSignals(mine, own), rest = Object.keys(mine).filter((name) => !shown.includes(name)).sort();
    const curve = (name) => curveRow(name, mine[name], own, this.length, (...args) => this.place(...args));
    const body = [];
    if (channel === "words" && words.length) body.push(this.words(words));
    if (channel === "voice" && this.peaks && streams.voice?.present !== false) body.push(waveRow(this.peaks));
    body.push(...pack(own, this.length).map((row) => h("div", { class: "cue-row" }, row.map((cue) => this.cue(cue)))));
    body.push(...shown.map(curve));
    if (streams[channel] && !streams[channel].present) body.push(h("p", { class: "absent" }, `absent: ${streams[channel].why || "no reason was given"}`));
    else if (!body.length) body.push(h("p", { class: "absent" }, this.data.pending ? "…" : "no cue was named in this channel"));
    if (rest.length) body.push(h("details", { class: "more-curves" }, h("summary", {}, `${rest.length} more curves`), rest.map(curve)));
    return this.row(channel, channel, channel, body);
  }

  words(words) {
    if (!words.some((word) => word.start !== null)) return h("p", { class: "untimed" }, words.map((word) => word.text).join(" "));
    const room = (this.scroll.clientWidth || 900) * this.zoom;
    this.wordSpans = phrases(words.filter((word) => word.start !== null && word.end !== null), (this.length * WORD_PX) / room).map((word, i) => {
      const button = h("button", { type: "button", class: "word", title: `${word.text} (${clock(word.start)}–${clock(word.end)})`,
        onclick: () => this.player.playLoop(word.start, word.end, `word-${i}`) }, word.text);
      return [this.place(button, word.start, word.end), word];
    });
    return h("div", { class: "word-row" }, this.wordSpans.map(([button]) => button));
  }

  cue(cue) {
    const kind = verdict(cue), said = cueSentence(cue);
    const button = h("button", { type: "button", class: `cue ${kind}${hasSpan(cue) ? "" : " whole"}`, title: said, "aria-label": said,
      onclick: () => this.onCue(cue) }, icon(kind), h("span", {}, cue.observation));
    this.spans.push([button, cue.id]);
    return this.place(button, hasSpan(cue) ? cue.start : 0, hasSpan(cue) ? cue.end : this.length);
  }

  /** Show which span plays in a loop. */
  mark() {
    for (const [button, id] of this.spans || []) button.classList.toggle("playing", this.player.loop?.id === id);
  }

  show() {
    if (this.root.hidden || !this.playhead) return;
    const share = Math.min(1, Math.max(0, this.player.time / this.length));
    this.playhead.style.left = `${share * 100}%`;
    this.slider.setAttribute("aria-valuenow", this.player.time.toFixed(2));
    this.slider.setAttribute("aria-valuetext", `${this.player.time.toFixed(2)} seconds`);
    for (const [button, word] of this.wordSpans || []) button.classList.toggle("now", this.player.time >= word.start && this.player.time < word.end);
    if (this.player.playing) this.reveal();
  }

  /** Bring the playhead into view where the timeline is wider than its place. */
  reveal() {
    const room = this.scroll.clientWidth, width = this.axis.scrollWidth;
    if (width <= room + 1) return;
    const names = this.slider.offsetLeft, x = names + this.slider.offsetWidth * (this.player.time / this.length);
    if (x < this.scroll.scrollLeft + names || x > this.scroll.scrollLeft + room - 20) this.scroll.scrollLeft = x - room / 3;
  }
}

function legend() {
  const kinds = ["supported", "contradicted", "not_measurable", "no_claim"];
  return h("p", { class: "legend" }, kinds.map((kind) => h("span", {}, h("span", { class: `key ${kind}` }, icon(kind)), VERDICT_TEXT[kind])),
    h("span", { class: "hint" }, "Click a cue to play it in a loop; Esc ends the loop."));
}
