// A report as JSON, CSV, WebVTT and ELAN. Times in all but JSON are those of the file, so that they fit the player.

import { h } from "./dom.js";
import { pack } from "./lanes.js";
import { CHANNELS, VERDICT_TEXT, hasSpan, verdict } from "./wording.js";

const NOTICE = "Scores say how sure the model is of what is expressed, not what a person feels. No diagnosis, no lie detector.";

/** Everything with a time, in seconds of the file: {tier, start, end, text, cue?, segment?}. */
function rows(data) {
  const offset = data.start || 0, length = data.duration || Math.max(0.001, ...data.cues.map((cue) => cue.end || 0), ...data.words.map((word) => word.end || 0));
  const found = [];
  const add = (tier, start, end, text, more = {}) => found.push({ tier, start: offset + start, end: offset + Math.max(end, start + 0.001), text, ...more });
  if (data.segments) for (const one of data.segments) add("emotion", one.start, one.end, one.label || "none", { segment: one });
  else add("emotion", 0, length, data.emotions.map((one) => one.label).join(", ") || "none", { segment: data });
  for (const channel of CHANNELS) {
    for (const cue of data.cues.filter((one) => one.channel === channel)) {
      const [start, end] = hasSpan(cue) ? [cue.start, cue.end] : [0, length];
      add(channel, start, end, cue.observation, { cue });
    }
  }
  for (const word of data.words) if (word.start !== null && word.end !== null) add("transcript", word.start, word.end, word.text);
  for (const one of data.segments || []) if (one.conflict) add("disagreement", one.start, one.end, one.conflict_text || "channels disagree");
  if (!data.segments && data.agreement.conflict) add("disagreement", 0, length, data.agreement.conflicting.map(([a, b]) => `${a} against ${b}`).join("; "));
  return found;
}

/** The report as the server gave it; a long clip with its windows, segments and gaps. */
export function toJson(run) {
  return `${JSON.stringify(run.mode === "timeline" ? { windows: run.windows, segments: run.segments, gaps: run.gaps } : run.raw, null, 2)}\n`;
}

// A text that begins like a formula would be run by spreadsheets.
const guarded = (text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const CSV_HEAD = ["kind", "start_s", "end_s", "text", "supports", "verdict", "measured", "unit", "reference", "reference_kind", "why", "valence", "arousal", "confidence", "unsure"];

/** One line for each emotion, cue, word and disagreement. */
export function toCsv(data) {
  const lines = rows(data).map(({ tier, start, end, text, cue, segment }) => {
    const check = cue?.check || {};
    return [
      tier, start.toFixed(3), end.toFixed(3), guarded(text), guarded((cue?.supports || []).join("; ")), cue ? verdict(cue) : "", check.measured ?? "", check.unit || "",
      check.reference ?? "", check.reference_kind || "", guarded(check.why || ""), segment?.valence ?? "", segment?.arousal ?? "", segment?.confidence ?? "", segment ? segment.unsure : "",
    ];
  });
  return [CSV_HEAD, ...lines].map((line) => line.map((value) => quoted(String(value))).join(",")).join("\r\n") + "\r\n";
}

function stamp(time) {
  const ms = Math.round(time * 1000), two = (value) => String(value).padStart(2, "0");
  return `${two(Math.floor(ms / 3600000))}:${two(Math.floor(ms / 60000) % 60)}:${two(Math.floor(ms / 1000) % 60)}.${String(ms % 1000).padStart(3, "0")}`;
}

const vttText = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replace(/\s+/g, " ");

/** Subtitles: the channel as the voice of each line. */
export function toVtt(data) {
  const cues = rows(data).sort((a, b) => a.start - b.start || a.end - b.end).map(({ tier, start, end, text, cue }, i) => {
    const more = cue ? ` (${VERDICT_TEXT[verdict(cue)]}${cue.supports.length ? `; ${cue.supports.join(", ")}` : ""})` : "";
    return `${i + 1}\n${stamp(start)} --> ${stamp(end)}\n<v ${tier}>${vttText(text + more)}</v>\n`;
  });
  return `WEBVTT\n\nNOTE ${vttText(NOTICE)}\n\n${cues.join("\n")}`;
}

/** Text for XML 1.0: what the format cannot hold is left out, the rest is escaped. */
const xml = (text) => String(text).replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "")
  .replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** An ELAN file. Annotations of one tier must not overlap, so a channel with overlapping cues gets several tiers. */
export function toEaf(data, { name, type }) {
  const slots = [], tiers = [];
  let annotations = 0;
  const slot = (time) => slots.push([`ts${slots.length + 1}`, Math.round(time * 1000)]) && slots.at(-1)[0];
  const all = rows(data);
  for (const tier of new Set(all.map((row) => row.tier))) {
    pack(all.filter((row) => row.tier === tier).map((row) => ({ ...row, end: Math.max(row.end, row.start + 0.002) })), Infinity).forEach((row, i) => {
      const inside = row.map(({ start, end, text, cue }) => {
        const value = cue ? `${text}${cue.supports.length ? ` => ${cue.supports.join(", ")}` : ""} [${VERDICT_TEXT[verdict(cue)]}]` : text;
        return `<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a${++annotations}" TIME_SLOT_REF1="${slot(start)}" TIME_SLOT_REF2="${slot(end)}">`
          + `<ANNOTATION_VALUE>${xml(value)}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>`;
      });
      tiers.push(`  <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="${tier}${i ? `-${i + 1}` : ""}">\n    ${inside.join("\n    ")}\n  </TIER>`);
    });
  }
  const ordered = [...slots].sort((a, b) => a[1] - b[1]).map(([id, time]) => `    <TIME_SLOT TIME_SLOT_ID="${id}" TIME_VALUE="${time}"/>`);
  return `<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="cuewise" DATE="${new Date().toISOString().slice(0, 19)}+00:00" FORMAT="3.0" VERSION="3.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
    <MEDIA_DESCRIPTOR MEDIA_URL="./${xml(encodeURI(name))}" MIME_TYPE="${xml(type || "video/*")}" RELATIVE_MEDIA_URL="./${xml(encodeURI(name))}"/>
    <PROPERTY NAME="lastUsedAnnotationId">${annotations}</PROPERTY>
  </HEADER>
  <TIME_ORDER>
${ordered.join("\n")}
  </TIME_ORDER>
${tiers.join("\n")}
  <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>
`;
}

const FORMS = {
  JSON: ["json", "application/json", (run) => toJson(run)],
  CSV: ["csv", "text/csv", (run) => toCsv(run.report)],
  WebVTT: ["vtt", "text/vtt", (run) => toVtt(run.report)],
  ELAN: ["eaf", "application/xml", (run) => toEaf(run.report, { name: run.name, type: run.file?.type })],
};

/** Buttons that save a run. */
export function exportButtons(run) {
  return h("div", { class: "exports", role: "group", "aria-label": "Save the result" }, h("span", {}, "Save as"), Object.entries(FORMS).map(([name, [ending, type, write]]) =>
    h("button", { type: "button", class: "plain small", data: { export: ending }, onclick: () => save(`${run.name.replace(/\.[^.]+$/, "")}.${ending}`, type, write(run)) }, name)));
}

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 30000);
}
