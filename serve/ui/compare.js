// Two runs side by side: what differs first, then both in full.

import { circumplex } from "./circumplex.js";
import { bar } from "./answer.js";
import { h } from "./dom.js";
import { headline, signed, verdictCounts } from "./wording.js";

/** The mean of a value over the segments of a long clip, by their length. */
function mean(segments, name) {
  const known = segments.filter((one) => one[name] !== null), total = known.reduce((sum, one) => sum + one.end - one.start, 0);
  return total ? known.reduce((sum, one) => sum + one[name] * (one.end - one.start), 0) / total : null;
}

/** A run in one line of numbers; a long clip by its mean over time. */
function summary({ report, letter, mode }) {
  if (mode === "clip") return { letter, report, valence: report.valence, arousal: report.arousal, emotions: headline(report), confidence: report.confidence, unsure: report.unsure, conflict: report.agreement.conflict ? "channels disagree" : "no conflict" };
  const top = Object.entries(report.distribution).sort((a, b) => b[1] - a[1])[0], length = report.segments.length;
  const share = (test) => `${Math.round((100 * report.segments.filter(test).length) / length)} % of segments`;
  return { letter, report, valence: mean(report.segments, "valence"), arousal: mean(report.segments, "arousal"), emotions: top ? `${top[0]} (mean over time)` : "none", confidence: mean(report.segments, "confidence"), unsure: share((one) => one.unsure), conflict: share((one) => one.conflict) };
}

const value = (x) => (x === null || x === undefined ? "–" : x.toFixed(2));
const affect = (x) => (x === null || x === undefined ? "–" : signed(x));

/** The card with the differences. */
export function comparison(first, second) {
  const [a, b] = [summary(first), summary(second)];
  const difference = (name) => (a[name] === null || b[name] === null ? "" : signed(b[name] - a[name]));
  const rows = [
    ["emotions", a.emotions, b.emotions, a.emotions === b.emotions ? "same" : "differ"],
    ["confidence", value(a.confidence), value(b.confidence), difference("confidence")],
    ["unsure", a.unsure === true ? "yes" : a.unsure || "no", b.unsure === true ? "yes" : b.unsure || "no", ""],
    ["valence", affect(a.valence), affect(b.valence), difference("valence")],
    ["arousal", affect(a.arousal), affect(b.arousal), difference("arousal")],
    ["agreement", a.conflict, b.conflict, ""],
    ["evidence", verdictCounts(a.report.cues) || "no cues", verdictCounts(b.report.cues) || "no cues", ""],
  ];
  const labels = [...new Set([...Object.keys(a.report.distribution), ...Object.keys(b.report.distribution)])]
    .sort((x, y) => Math.max(b.report.distribution[y] || 0, a.report.distribution[y] || 0) - Math.max(b.report.distribution[x] || 0, a.report.distribution[x] || 0)).slice(0, 8);
  const bars = labels.map((label) => h("div", { class: "paired" }, h("span", {}, label), [a, b].map((one, i) => {
    const share = one.report.distribution[label] || 0;
    return h("span", { class: `pair-bar run-${i}` }, h("i", {}, one.letter), bar(share, `${one.letter}: ${label}`), h("b", {}, share.toFixed(2)));
  })));
  const plane = circumplex({ dots: [a, b].filter((one) => one.valence !== null).map((one) => ({ valence: one.valence, arousal: one.arousal, name: one.letter })) });
  return h("section", { class: "card comparison" }, h("h3", {}, `Runs ${a.letter} and ${b.letter}`),
    h("div", { class: "comparison-body" }, h("div", { class: "comparison-main" },
      h("div", { class: "table-scroll", tabindex: 0, role: "group", "aria-label": "Differences" }, h("table", {}, h("thead", {}, h("tr", {}, h("td", {}), [first, second].map((run) => h("th", { scope: "col" }, h("b", {}, run.letter), " ", run.name, run.differences.length ? h("small", {}, run.differences.join(", ")) : null)), h("th", { scope: "col" }, "difference"))),
        h("tbody", {}, rows.map(([name, ...cells]) => h("tr", {}, h("th", { scope: "row" }, name), cells.map((cell) => h("td", {}, cell))))))), plane),
      bars.length ? h("div", { class: "paired-bars" }, bars) : null));
}
