// The answer as it is written: finished claims at once, each tied to its evidence card; then the reasoning in prose.

import { badge } from "./evidence.js";
import { h, icon, put } from "./dom.js";
import { CHANNELS, messageOf, spanText } from "./wording.js";

const CUE_LINE = /^(?:[-*•]\s*)?\[\s*(face|voice|words|scene)\s*[:,]?\s*([^\]]*)\]\s*(.*)$/i;
const SPAN = /^([\d.]+)\s*s?\s*(?:-|–|to)\s*([\d.]+)\s*s?$/i;

/** What can be read of an answer that is still being written: finished cues, the line in the making, prose, labels. */
export function readDraft(text) {
  const inside = text.replace(/^[\s\S]*?<think>\s*/i, "");
  const [think, after] = inside.split(/<\/think>/i);
  const lines = think.split("\n");
  const unfinished = after === undefined ? lines.pop() : "";
  const cues = [], prose = [];
  for (const line of lines.map((one) => one.trim()).filter(Boolean)) {
    const match = line.match(CUE_LINE);
    if (!match) { prose.push(line); continue; }
    const arrow = match[3].lastIndexOf("=>"), span = match[2].trim().match(SPAN);
    const observation = (arrow < 0 ? match[3] : match[3].slice(0, arrow)).trim().replace(/[ .]+$/, "");
    if (!observation) continue;
    cues.push({
      channel: match[1].toLowerCase(), start: span ? Number(span[1]) : null, end: span ? Number(span[2]) : null, observation,
      supports: arrow < 0 ? [] : match[3].slice(arrow + 2).split(",").map((one) => one.trim()).filter(Boolean),
      claim: null, check: null, pending: true,
    });
  }
  const answer = (after || "").match(/<answer>([^<]*)/i);
  return { cues: withIds(cues), prose: prose.join(" "), typing: unfinished.trim(), labels: answer ? answer[1].trim() : "" };
}

/** Cues with an id each, by which lanes, cards and claims know them. */
export const withIds = (cues, prefix = "cue") => cues.map((cue, i) => ({ ...cue, id: `${prefix}-${i}` }));

export class Reasoning {
  /** @param {(cue: object) => void} onCue plays a claim's span @param {(cue: object) => void} onShow shows its card */
  constructor(onCue, onShow) {
    this.onCue = onCue;
    this.onShow = onShow;
    this.body = h("div", {});
    this.root = h("section", { class: "card reasoning", hidden: true }, h("h3", {}, "Reasoning"), this.body);
  }

  claim(cue) {
    return h("li", { class: `claim ${cue.pending ? "pending" : ""}` },
      h("button", { type: "button", class: "claim-link", title: "Show the evidence and play it", onclick: () => { this.onCue(cue); this.onShow(cue); } },
        icon(cue.channel), h("span", { class: "claim-span" }, spanText(cue)), h("span", { class: "claim-text" }, cue.observation),
        cue.supports.length ? h("span", { class: "claim-supports" }, ` → ${cue.supports.join(", ")}`) : null), badge(cue));
  }

  /** Show what has been written so far. */
  draft(draft) {
    this.root.hidden = false;
    const caret = h("span", { class: "caret", "aria-hidden": "true" });
    put(this.body, draft.cues.length ? h("ol", { class: "claims" }, draft.cues.map((cue) => this.claim(cue))) : null,
      draft.prose ? h("p", {}, draft.prose) : null, h("p", { class: "typing" }, draft.typing, caret));
  }

  /** Show the whole answer. */
  set(report) {
    const against = messageOf(report, "prose_disagrees");
    this.root.hidden = !report.reasoning && !report.text && !report.cues.length;
    put(this.body, report.cues.length ? h("ol", { class: "claims" }, report.cues.map((cue) => this.claim(cue))) : null,
      report.reasoning ? h("p", {}, this.linked(report)) : h("p", { class: "absent" }, "No reasoning was given."),
      against ? h("p", { class: "agreement conflict" }, icon("warning"), h("span", {}, `${against[0].toUpperCase()}${against.slice(1)}.`)) : null,
      report.text ? h("details", {}, h("summary", {}, "The answer as the model wrote it"), h("pre", {}, report.text)) : null);
  }

  /** The prose, in which the name of a channel leads to that channel's cards. */
  linked(report) {
    return report.reasoning.split(new RegExp(`\\b(${CHANNELS.join("|")})\\b`, "i")).map((piece) => {
      const cues = report.cues.filter((cue) => cue.channel === piece.toLowerCase());
      if (!cues.length) return piece;
      let next = 0;
      return h("button", { type: "button", class: "inline-link", title: `${cues.length} cue${cues.length > 1 ? "s" : ""} in the ${piece}`,
        onclick: () => this.onShow(cues[next++ % cues.length]) }, piece);
    });
  }
}
