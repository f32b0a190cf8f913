// How a report is put into words; the same words as in the terminal and in the HTML report.

export const CHANNELS = ["face", "voice", "words", "scene"];
export const VERDICT_TEXT = {
  supported: "supported",
  contradicted: "contradicted",
  not_measurable: "not measurable",
  no_claim: "no checkable claim",
  pending: "not checked yet",
};
const REFERENCE_TEXT = { same_speaker_rest: "rest of the clip", population: "people in general", absolute: "against" };
const INTENSITY = "intensity 0-5";
const OCCURRENCES = "times";

/** The verdict of a cue; "no_claim" when it claims nothing that is measured, "pending" while the answer is written. */
export const verdict = (cue) => (cue.pending ? "pending" : cue.check ? cue.check.verdict : "no_claim");

/** Three significant digits, without exponents. */
export function number(value) {
  if (Number.isInteger(value) || Math.abs(value) >= 100) return value.toFixed(0);
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** A number with its sign, two digits. */
export const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

function withUnit(value, unit) {
  if (unit === INTENSITY) return `${number(value)} of 5`;
  return unit ? `${number(value)} ${unit}` : number(value);
}

/** What was measured against what: "measured 231 Hz, rest of the clip 180 Hz". Empty when nothing was measured. */
export function measuredText(check) {
  if (!check) return "";
  if (check.unit === OCCURRENCES && check.measured !== null) {
    return { 0: "", 1: "said once" }[check.measured] ?? `said ${number(check.measured)} times`; // why says where else it is said
  }
  const parts = [];
  if (check.measured !== null) parts.push(`measured ${withUnit(check.measured, check.unit)}`);
  if (check.reference !== null) {
    parts.push(`${REFERENCE_TEXT[check.reference_kind] || "reference"} ${withUnit(check.reference, check.unit)}`);
  }
  return parts.join(", ");
}

/** Why a verdict is what it is. */
export function whyText(cue) {
  if (cue.pending) return "claims are checked when the answer is complete";
  if (!cue.check) return "the observation holds no claim that is measured";
  return cue.check.why === "it is said" ? "" : cue.check.why;
}

/** Whether measured and reference can be drawn on one line. */
export const canDraw = (check) =>
  Boolean(check) && check.measured !== null && check.reference !== null && check.unit !== OCCURRENCES;

/** Seconds as "1.25 s", or as "2:05" where clips are long. */
export function clock(seconds, digits = 2) {
  if (!Number.isFinite(seconds)) return "";
  const tail = digits > 1 ? 10 : 1;
  if (Number(seconds.toFixed(digits)) < 60) return `${seconds.toFixed(digits)} s`;
  seconds = Math.round(seconds * tail) / tail; // before it is split, or 119.97 s would read 1:60.0
  const hours = Math.floor(seconds / 3600), minutes = Math.floor((seconds % 3600) / 60);
  const rest = (seconds % 60).toFixed(digits > 1 ? 1 : 0).padStart(digits > 1 ? 4 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** "0.40–1.20 s", or "whole clip". */
export function spanText(cue) {
  if (!hasSpan(cue)) return "whole clip";
  return cue.end < 60 ? `${cue.start.toFixed(2)}–${cue.end.toFixed(2)} s` : `${clock(cue.start)}–${clock(cue.end)}`;
}

export const hasSpan = (cue) => cue.start !== null && cue.start !== undefined && cue.end !== null && cue.end !== undefined;

/** What was seen of a stream, or why it is absent. */
export function streamText(stream) {
  if (!stream.present) return `absent: ${stream.why || "no reason was given"}`;
  const parts = [];
  if (stream.seconds !== null) parts.push(`${stream.seconds.toFixed(2)} s`);
  if (stream.frames !== null) {
    parts.push(`${stream.frames} frames${stream.frames_found === null ? "" : `, found in ${stream.frames_found}`}`);
  }
  if (stream.tokens !== null) parts.push(`${stream.tokens} token${stream.tokens === 1 ? "" : "s"}`);
  if (stream.why) parts.push(stream.why);
  return parts.join(", ") || "present";
}

/** One sentence on whether the channels agree; empty when fewer than two could be read. */
export function agreementText(agreement) {
  const labels = Object.fromEntries(Object.entries(agreement.channels).map(([name, reading]) => [name, reading.label]));
  if (agreement.conflict) {
    const pairs = agreement.conflicting.map(([a, b]) => `${a} (${labels[a] || "unread"}) and ${b} (${labels[b] || "unread"})`);
    const followed = agreement.followed ? `; the answer follows the ${agreement.followed}` : "";
    return `The channels disagree: ${pairs.join("; ") || "see the readings"}${followed}.`;
  }
  const names = Object.keys(labels);
  if (names.length < 2) return "";
  if (new Set(Object.values(labels)).size === 1) {
    const list = `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
    return `${list[0].toUpperCase()}${list.slice(1)} agree on ${labels[names[0]]}.`;
  }
  return "The channels differ, but not surely enough to call it a conflict.";
}

/** What the first problem of this code says; empty where there is none. */
export const messageOf = (report, code) => (report.problems || []).find((one) => one.code === code)?.message || "";

/** The emotions of the answer, or what stands in their place. */
export const headline = (report) => report.emotions.map((one) => one.label).join(", ") || "no emotion was named";

/** A cue in one sentence, for titles and assistive technology. */
export const cueSentence = (cue) =>
  `${cue.channel}, ${spanText(cue)}: ${cue.observation}; ${VERDICT_TEXT[verdict(cue)]}`;

/** "words, 3 frames": how many of each verdict. */
export function verdictCounts(cues) {
  const counts = {};
  for (const cue of cues) counts[verdict(cue)] = (counts[verdict(cue)] || 0) + 1;
  return Object.keys(VERDICT_TEXT).filter((kind) => counts[kind]).map((kind) => `${counts[kind]} ${VERDICT_TEXT[kind]}`).join(", ");
}
