// Curves of the lanes: measured signals, valence and arousal with their band, the sound wave.

import { h, s } from "./dom.js";
import { hasSpan, number, verdict } from "./wording.js";

const WIDTH = 1000;
const HEIGHT = 100;
const MIN_SHARE_SPREAD = 0.1;
const INTENSITY = "intensity 0-5";
const SCENE_SIGNALS = ["brightness", "colourfulness", "people", "motion"];
const TURN_OF = { away: "yaw", toward: "yaw", shaking: "yaw", up: "pitch", down: "pitch", nodding: "pitch", tilted: "roll" };
const PREFIX = /^(face|voice|scene)[\s./:_-]+/i;
const ACTION = /AU\d+/;
const MAX_CURVES = 4;

const known = (value) => value !== null && Number.isFinite(value);
const drawing = (...shapes) =>
  s("svg", { class: "curve", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }, shapes);
const line = (points, cls) => s("polyline", { points: points.map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" "), class: cls, "vector-effect": "non-scaling-stroke" });

/** The name of a curve and its ends, which stay in view when the timeline is wider than its place. */
const labels = (name, high = "", low = "") => h("div", { class: "curve-labels" }, h("span", { class: "curve-name" }, name),
  high ? h("span", { class: "curve-range" }, low ? `${low} to ${high}` : high) : null);

/** The lane a signal belongs to. */
export function signalChannel(name) {
  const prefix = name.match(PREFIX);
  if (prefix) return prefix[1].toLowerCase();
  if (/^(AU\d|head|gaze)/.test(name)) return "face";
  return SCENE_SIGNALS.some((one) => name.startsWith(one)) ? "scene" : "voice";
}

/** Whether the claim of a cue is about this signal. */
export function speaksOf(cue, name) {
  const action = name.match(ACTION);
  if (action) return (cue.observation.match(/AU\d+/g) || []).includes(action[0]);
  if (!cue.claim) return false;
  const bare = name.replace(PREFIX, "");
  if (!bare.startsWith(cue.claim.attribute)) return false;
  return ["", cue.claim.direction, TURN_OF[cue.claim.direction]].includes(bare.slice(cue.claim.attribute.length).trim());
}

/** Names of the signals worth seeing first: those that a cue speaks of, then those that move most. */
export function chooseSignals(signals, cues) {
  const movement = (name) => {
    const values = signals[name].values.filter(known);
    return values.length ? Math.max(...values) - Math.min(...values) : -1;
  };
  const names = Object.keys(signals);
  const spoken = names.filter((name) => cues.some((cue) => speaksOf(cue, name)));
  const rest = names.filter((name) => !spoken.includes(name)).sort((a, b) => movement(b) - movement(a));
  return [...spoken, ...rest].slice(0, Math.max(MAX_CURVES, spoken.length));
}

/** One signal over the whole time axis; gaps stay gaps. */
export function curveRow(name, signal, cues, duration, place) {
  const values = signal.values.filter(known);
  let low = values.length ? Math.min(...values) : 0, high = values.length ? Math.max(...values) : 1;
  if (signal.unit === INTENSITY) { low = 0; high = Math.max(1, high); }
  if (signal.unit.startsWith("share") && high - low < MIN_SHARE_SPREAD) { // noise must not look like an event
    low = Math.max(0, (low + high - MIN_SHARE_SPREAD) / 2);
    high = low + MIN_SHARE_SPREAD;
  }
  const runs = [[]];
  signal.times.forEach((time, i) => {
    const value = signal.values[i];
    if (!known(value)) { runs.push([]); return; }
    const x = Math.max(0, Math.min(1, time / duration)) * WIDTH;
    runs.at(-1).push([x, HEIGHT - 6 - ((value - low) / (high - low || 1)) * (HEIGHT - 12)]);
  });
  const lines = runs.filter((run) => run.length).map((run) =>
    line(run.length > 1 ? run : [[run[0][0] - 1.5, run[0][1]], [run[0][0] + 1.5, run[0][1]]]));
  const bands = cues.filter((cue) => hasSpan(cue) && speaksOf(cue, name)).map((cue) =>
    place(h("span", { class: `band ${verdict(cue)}` }), cue.start, cue.end));
  const bare = name.replace(PREFIX, "");
  return h("div", { class: "curve-row" }, bands, drawing(...lines), labels(signal.unit ? `${bare}, ${signal.unit}` : bare, number(high), number(low)));
}

const affectY = (value) => HEIGHT / 2 - value * (HEIGHT / 2 - 5);

/** Valence or arousal over the segments of a timeline, with a band from the lowest to the highest window. */
export function affectRow(name, points, duration) {
  const x = (time) => (time / duration) * WIDTH;
  const seen = points.filter((point) => known(point[name]));
  const runs = [[]];
  for (const point of seen) { // a gap in time is a gap in the line
    const last = runs.at(-1).at(-1);
    if (last && point.start - last.end > 0.01) runs.push([]);
    runs.at(-1).push(point);
  }
  const shapes = [s("line", { x1: 0, x2: WIDTH, y1: HEIGHT / 2, y2: HEIGHT / 2, class: "zero", "vector-effect": "non-scaling-stroke" })];
  for (const run of runs.filter((one) => one.length)) {
    const first = run[0], last = run.at(-1), middle = (point) => (point.start + point.end) / 2;
    const at = [[first.start, first], ...run.map((point) => [middle(point), point]), [last.end, last]];
    const edge = (side) => at.map(([time, point]) => [x(time), affectY(point[`${name}_${side}`] ?? point[name])]);
    const outline = [...edge("high"), ...edge("low").reverse()].map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" ");
    shapes.push(s("polygon", { points: outline, class: "spread" }), line(at.map(([time, point]) => [x(time), affectY(point[name])]), "affect"));
  }
  const [low, high] = name === "valence" ? ["unpleasant", "pleasant"] : ["calm", "active"];
  return h("div", { class: `curve-row affect-row ${name}`, role: "img", "aria-label": `${name} over time, from minus 1 to 1` },
    drawing(...shapes), labels(name, `${high} +1`, `${low} −1`));
}

/** The sound wave as loudness peaks, 0 to 1. */
export function waveRow(peaks) {
  const up = peaks.map((peak, i) => [(i / peaks.length) * WIDTH, 50 - peak * 46]);
  const down = peaks.map((peak, i) => [(i / peaks.length) * WIDTH, 50 + peak * 46]).reverse();
  const points = [...up, ...down].map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" ");
  return h("div", { class: "curve-row wave-row" }, drawing(s("polygon", { points, class: "wave" })), labels("sound"));
}

/** Peaks of the sound of a file between two times, or null where the browser cannot decode it. */
export async function wavePeaks(file, start, length, bins = 600) {
  try {
    const context = new OfflineAudioContext(1, 1, 8000);
    const sound = await context.decodeAudioData(await file.arrayBuffer());
    const samples = sound.getChannelData(0), rate = sound.sampleRate;
    const from = Math.floor(start * rate), count = Math.floor((length || sound.duration - start) * rate);
    const peaks = Array.from({ length: bins }, (_, bin) => {
      let peak = 0;
      const end = Math.min(samples.length, from + Math.floor(((bin + 1) * count) / bins));
      for (let i = from + Math.floor((bin * count) / bins); i < end; i++) peak = Math.max(peak, Math.abs(samples[i]));
      return peak;
    });
    const top = Math.max(...peaks);
    return top > 0 ? peaks.map((peak) => peak / top) : null;
  } catch {
    return null;
  }
}
