// The windows and segments of a long clip, brought together on one time axis that begins with the span that was read.

const EMPTY = { cues: [], words: [], signals: {}, tracks: [], streams: {}, problems: [], withheld: [], timing_ms: {}, distribution: {} };

/** The mean of what was found per second over the segments, by label. */
function overall(segments) {
  const total = segments.reduce((sum, one) => sum + one.end - one.start, 0), shares = {};
  for (const one of segments) {
    for (const [label, share] of Object.entries(one.distribution)) shares[label] = (shares[label] || 0) + (share * (one.end - one.start)) / total;
  }
  return shares;
}

/** A segment with what the windows around it add: its band, and what each channel says there. */
function enriched(segment, windows, offset) {
  const near = segment.windows.map((index) => windows.find((one) => one.index === index)).filter(Boolean);
  const middle = (segment.start + segment.end) / 2;
  const nearest = near.reduce((best, one) => (!best || Math.abs(center(one) - middle) < Math.abs(center(best) - middle) ? one : best), null);
  const band = {};
  for (const name of ["valence", "arousal"]) {
    const values = near.map((one) => one.report[name]).filter((value) => value !== null);
    band[`${name}_low`] = values.length ? Math.min(...values, segment[name] ?? Infinity) : null;
    band[`${name}_high`] = values.length ? Math.max(...values, segment[name] ?? -Infinity) : null;
  }
  const agreement = nearest ? nearest.report.agreement : { channels: {}, conflicting: [] };
  return {
    ...segment, ...band, start: segment.start - offset, end: segment.end - offset, channels: agreement.channels,
    conflicting: segment.conflict ? agreement.conflicting : [],
    conflict_text: agreement.conflicting.map(([a, b]) => `${a} (${agreement.channels[a]?.label}) against ${b} (${agreement.channels[b]?.label})`).join("; "),
  };
}

const center = (window) => (window.start + window.end) / 2;

/** Words told by several windows once each; a word that a window cuts off is shorter there, so the longest counts. */
function once(words) {
  const kept = [];
  for (const word of words) {
    const at = kept.findLastIndex((one) => one.text === word.text && one.start < word.end - 0.01 && word.start < one.end - 0.01);
    if (at < 0) kept.push(word);
    else if (word.end - word.start > kept[at].end - kept[at].start) kept[at] = word;
  }
  return kept;
}

/** Everything known of a timeline so far, in the form of a report with `segments` and `gaps`. */
export function merged({ windows, segments, gaps }) {
  const first = windows[0];
  if (!first) return null;
  const offset = first.start, end = Math.max(...windows.map((one) => one.end));
  const owner = (time) => windows.reduce((best, one) => (Math.abs(center(one) - time) < Math.abs(center(best) - time) ? one : best), first);
  const ordered = segments.map((one) => enriched(one, windows, offset));
  const signals = {}, boxes = [], words = [], cues = [], problems = new Map(), streams = {};
  for (const window of windows) {
    const { report } = window, shift = window.start - offset, mine = (time) => owner(window.start + time) === window;
    for (const [name, signal] of Object.entries(report.signals)) {
      const into = (signals[name] ||= { unit: signal.unit, times: [], values: [] });
      signal.times.forEach((time, i) => { if (mine(time)) { into.times.push(time + shift); into.values.push(signal.values[i]); } });
    }
    for (const box of report.tracks[0]?.boxes || []) if (mine(box.time)) boxes.push({ ...box, time: box.time + shift });
    for (const word of report.words) {
      if (word.start === null) continue;
      words.push({ ...word, start: word.start + shift, end: word.end + shift });
    }
    for (const cue of report.cues) { // cues with times come from the segments, which tell each of them once
      if (cue.start === null) cues.push({ ...cue, start: shift, end: window.end - offset });
    }
    for (const problem of report.problems) if (problem.code !== "span_cut") problems.set(problem.code, problem); // the last window ends with the clip
    for (const [name, stream] of Object.entries(report.streams)) if (!streams[name] || stream.present) streams[name] = stream;
  }
  for (const segment of segments) for (const cue of segment.cues) cues.push({ ...cue, start: cue.start - offset, end: cue.end - offset });
  const track = windows.find((one) => one.report.tracks.length)?.report.tracks[0];
  const known = Object.fromEntries(Object.entries(streams).map(([name, one]) =>
    [name, { ...one, seconds: null, frames: null, frames_found: null, tokens: null, why: one.present ? null : one.why }]));
  return {
    ...EMPTY, model: first.report.model, clip: first.report.clip, start: offset, duration: end - offset, form: "explained",
    emotions: [], distribution: ordered.length ? overall(ordered) : {}, valence: null, arousal: null, confidence: null, unsure: false,
    agreement: { channels: {}, conflict: false, conflicting: [], followed: null }, reasoning: "", text: "",
    cues: byTime(cues).map((cue, i) => ({ ...cue, id: `cue-${cue.channel}-${cue.start.toFixed(2)}-${cue.end.toFixed(2)}-${cue.observation}-${i}` })),
    words: once(byTime(words)), signals, streams: known, problems: [...problems.values()],
    withheld: [...new Set(windows.flatMap((one) => one.report.withheld))], tracks: track ? [{ ...track, boxes: boxes.sort((a, b) => a.time - b.time) }] : [],
    segments: ordered, gaps: gaps.map((one) => ({ ...one, start: one.start - offset, end: one.end - offset })),
    timing_ms: { total: windows.reduce((sum, one) => sum + (one.report.timing_ms.total || 0), 0) },
  };
}

const byTime = (items) => items.sort((a, b) => a.start - b.start || a.end - b.end);
