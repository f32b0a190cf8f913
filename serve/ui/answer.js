// The answer: emotions, how sure the model is, agreement of the channels, distribution, valence and arousal.

import { circumplex } from "./circumplex.js";
import { h, icon } from "./dom.js";
import { tone } from "./palette.js";
import { CHANNELS, agreementText, clock, messageOf, signed } from "./wording.js";

const MAX_BARS = 8;

/** A bar whose filled length is `share`, 0 to 1. */
export function bar(share, label, cls = "") {
  const filled = h("span", { class: `fill ${cls}` });
  filled.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return h("span", { class: "bar", role: "img", "aria-label": `${label} ${share.toFixed(2)}` }, filled);
}

/** A value from -1 to 1 on a line; the whisker reaches over what the channels say when read alone. */
function scale(name, value, others, [low, high]) {
  if (value === null || value === undefined) return null;
  const place = (x) => `${(Math.max(-1, Math.min(1, x)) + 1) * 50}%`;
  const range = others.length > 1 ? [Math.min(...others), Math.max(...others)] : null;
  const whisker = range ? h("span", { class: "whisker", title: `between the readings: ${signed(range[0])} to ${signed(range[1])}` }) : null;
  if (whisker) { whisker.style.left = place(range[0]); whisker.style.right = `calc(100% - ${place(range[1])})`; }
  const dot = h("span", { class: "scale-dot" });
  dot.style.left = place(value);
  const said = `${name} ${signed(value)}, from minus 1 (${low}) to 1 (${high})${range ? `; readings from ${signed(range[0])} to ${signed(range[1])}` : ""}`;
  return h("div", { class: "scale-row" }, h("span", {}, name), h("span", { class: "scale-line", role: "img", "aria-label": said }, whisker, dot), h("b", {}, signed(value)));
}

function emotions(report) {
  if (!report.emotions.length) {
    return h("p", { class: "emotion none" }, report.form === "unparsed" ? "The answer is not in the usual form; see it below." : "No emotion was named.");
  }
  return h("ul", { class: "emotions" }, report.emotions.map((one) =>
    h("li", {}, h("span", { class: "emotion" }, one.label), one.score !== null ? h("span", { class: "score" }, one.score.toFixed(2)) : null)));
}

/** Why an answer is a guess. */
function whyUnsure(report) {
  const astray = messageOf(report, "not_what_is_read");
  if (astray) return `${astray[0].toUpperCase()}${astray.slice(1)}; take the answer as a guess.`;
  if (!report.emotions.length) return "The answer names no emotion.";
  return "The model does not lean clearly to one emotion; take the words above as a guess.";
}

/** How sure the model is; where it is not, that comes first. */
function certainty(report) {
  const rows = [];
  if (report.unsure) rows.push(h("p", { class: "unsure" }, icon("not_measurable"), h("span", {}, h("b", {}, "Unsure. "), whyUnsure(report))));
  if (report.confidence !== null && report.confidence !== undefined) {
    rows.push(h("div", { class: report.unsure ? "meter doubtful" : "meter" }, h("span", {}, "confidence"), bar(report.confidence, "confidence"), h("b", {}, report.confidence.toFixed(2), report.unsure ? h("span", { class: "doubt" }, " unsure") : null)));
  }
  return rows;
}

/** The notice that channels disagree, or the sentence that they agree. */
export function agreement(report) {
  const sentence = agreementText(report.agreement);
  if (!sentence) return null;
  const conflict = report.agreement.conflict;
  return h("p", { class: conflict ? "agreement conflict" : "agreement" }, conflict ? [icon("warning"), h("strong", {}, "Conflict. ")] : null, sentence);
}

/** Labels and shares, largest first, those of the answer marked. */
export function distribution(report) {
  const shares = Object.keys(report.distribution).length ? report.distribution
    : Object.fromEntries(report.emotions.filter((one) => one.score !== null).map((one) => [one.label, one.score]));
  const named = new Set(report.emotions.map((one) => one.label));
  const rows = Object.entries(shares).sort((a, b) => b[1] - a[1]).slice(0, MAX_BARS).map(([label, share]) =>
    h("div", { class: named.has(label) ? "share named" : "share" }, h("span", {}, label), bar(share, label), h("b", {}, share.toFixed(2))));
  return rows.length ? h("div", { class: "distribution" }, rows) : null;
}

/**
 * The whole card.
 * @param {object} report the report, or the segment at the playhead made into one
 * @param {{kicker: string, trail: object[], spread: object|null, note: string}} more
 */
export function answerCard(report, { kicker = "expressed emotion", trail = [], spread = null, note = "" } = {}) {
  const alone = Object.values(report.agreement.channels);
  const others = (name) => (spread ? [spread[`${name}_low`], spread[`${name}_high`]] : alone.map((one) => one[name])).filter((value) => value !== null && value !== undefined);
  const plane = circumplex({ dots: [{ valence: report.valence, arousal: report.arousal, unsure: report.unsure }], channels: report.agreement.channels, trail });
  return h("div", { class: "card answer" },
    h("p", { class: "kicker" }, kicker), emotions(report), note ? h("p", { class: "fine" }, note) : null, certainty(report),
    report.withheld.length ? h("p", { class: "withheld" }, "Withheld by policy: ", h("b", {}, report.withheld.map((kind) => kind.replace("_", " ")).join(", ")), ". Words of these kinds are not shown.") : null,
    agreement(report),
    h("div", { class: "figures" }, distribution(report),
      plane ? h("div", { class: "affect-figures" }, plane, scale("valence", report.valence, others("valence"), ["unpleasant", "pleasant"]),
        scale("arousal", report.arousal, others("arousal"), ["calm", "active"]),
        h("p", { class: "fine" }, spread ? "line: from the lowest to the highest window here" : alone.length > 1 ? "line and letters: each channel read alone" : "")) : null));
}

/** What each channel says when it is read alone. */
export function readings(report) {
  const channels = report.agreement.channels;
  if (!Object.keys(channels).length) return null;
  const clashing = new Set(report.agreement.conflicting.flat());
  const rows = CHANNELS.filter((name) => channels[name]).map((name) => {
    const { label, score } = channels[name], clash = clashing.has(name);
    const filled = bar(score, `${name}: ${label}`);
    filled.firstChild.style.setProperty("--tone", tone(label));
    return h("div", { class: clash ? "reading clashing" : "reading" }, h("span", { class: "channel" }, icon(name), name), h("b", {}, label), filled,
      h("span", {}, score.toFixed(2)), clash ? h("em", {}, icon("warning"), "disagrees") : null);
  });
  return h("section", { class: "card readings" }, h("h3", {}, "Each channel read alone"), rows);
}

/** The card of a long clip: what is expressed where the playhead stands, and over the whole clip. */
export function segmentCard(data, time) {
  const index = Math.max(0, data.segments.findLastIndex((one) => one.start <= time + 1e-6));
  const one = data.segments[index];
  const report = {
    emotions: one.label ? [{ label: one.label, score: one.distribution[one.label] }] : one.emotions, distribution: one.distribution, confidence: one.confidence, unsure: one.unsure, valence: one.valence, arousal: one.arousal,
    withheld: data.withheld, form: "explained",
    agreement: { channels: one.channels, conflict: one.conflict, conflicting: one.conflicting, followed: null },
  };
  const kicker = `expressed at ${clock(one.start)} to ${clock(one.end)}`, answer = one.emotions.map((emotion) => emotion.label).join(", ");
  const note = answer && answer !== one.label ? `The window nearest to this moment was answered with: ${answer}.` : "";
  return { id: `${one.index}/${data.segments.length}`, card: () => answerCard(report, { kicker, trail: data.segments.slice(0, index + 1), spread: one, note }) };
}
