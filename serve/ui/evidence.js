// Evidence cards: what was observed, what was measured in that span, and what that says about the claim.

import { h, icon, put, s } from "./dom.js";
import { VERDICT_TEXT, canDraw, hasSpan, measuredText, number, spanText, verdict, verdictCounts, whyText } from "./wording.js";

const NEAR_S = 1;
const FEWEST = 4;

/** Measured and reference as two marks on one line, so that the size of the difference can be seen. */
export function gauge(check) {
  if (!canDraw(check)) return null;
  let [low, high] = [check.measured, check.reference].sort((a, b) => a - b);
  const room = (high - low) * 0.5 || Math.abs(high) * 0.25 || 1;
  low -= room;
  high += room;
  const at = (value) => 6 + ((value - low) / (high - low)) * 188;
  const measured = at(check.measured), reference = at(check.reference);
  return s("svg", { class: "gauge", viewBox: "0 0 200 24", role: "img", "aria-label": `measured ${number(check.measured)} against ${number(check.reference)}` },
    s("line", { x1: 4, y1: 12, x2: 196, y2: 12, class: "scale" }), s("line", { x1: reference, y1: 12, x2: measured, y2: 12, class: "difference" }),
    s("line", { x1: reference, y1: 5, x2: reference, y2: 19, class: "reference" }), s("circle", { cx: measured, cy: 12, r: 5.5, class: "measured" }));
}

/** The verdict with its sign and its word. */
export const badge = (cue) => h("span", { class: `badge ${verdict(cue)}` }, icon(verdict(cue)), VERDICT_TEXT[verdict(cue)]);

export class Evidence {
  /** @param {(cue: object) => void} onCue plays the span of a cue in a loop */
  constructor(player, onCue) {
    this.player = player;
    this.onCue = onCue;
    this.cues = [];
    this.windowed = false;
    this.counts = h("small", {});
    this.near = h("input", { type: "checkbox", checked: true, onchange: () => this.render() });
    this.nearLabel = h("label", { class: "check-label", hidden: true }, this.near, "around the playhead only");
    this.list = h("ol", { class: "evidence" });
    this.root = h("section", { class: "evidence-section", hidden: true },
      h("h3", {}, "Evidence", this.counts, h("span", { class: "grow" }), this.nearLabel), this.list);
    player.addEventListener("loop", () => this.mark());
    player.addEventListener("time", () => { if (this.windowed && this.near.checked) this.render(true); });
  }

  /** @param {boolean} windowed the cues are those of a long clip, of which only some are shown at once */
  set(cues, windowed) {
    this.cues = [...cues].sort((a, b) => (hasSpan(a) ? a.start : 0) - (hasSpan(b) ? b.start : 0) || Number(!hasSpan(a)) - Number(!hasSpan(b)));
    this.windowed = windowed;
    this.shown = null;
    this.root.hidden = !cues.length;
    this.nearLabel.hidden = !windowed;
    this.counts.textContent = verdictCounts(cues);
    this.render();
  }

  /** Cues at the playhead, or the nearest ones where there are none. */
  around() {
    const loop = this.player.loop, time = loop ? (loop.start + loop.end) / 2 : this.player.time;
    const away = (cue) => Math.max(0, cue.start - time, time - cue.end);
    const near = this.cues.filter((cue) => away(cue) <= NEAR_S || cue.id === loop?.id);
    if (near.length) return near;
    const nearest = [...this.cues].sort((a, b) => away(a) - away(b)).slice(0, FEWEST);
    return this.cues.filter((cue) => nearest.includes(cue));
  }

  render(onlyChanges = false) {
    const cues = this.windowed && this.near.checked ? this.around() : this.cues;
    const ids = cues.map((cue) => cue.id).join();
    if (onlyChanges && ids === this.shown) return;
    this.shown = ids;
    this.cards = new Map(cues.map((cue) => [cue.id, this.card(cue)]));
    put(this.list, [...this.cards.values()]);
    this.mark();
  }

  card(cue) {
    const kind = verdict(cue);
    const span = hasSpan(cue)
      ? h("button", { type: "button", class: "span", "aria-label": `play ${spanText(cue)} in a loop`, onclick: () => this.onCue(cue) }, icon("play"), spanText(cue))
      : h("span", { class: "span" }, spanText(cue));
    const measured = measuredText(cue.check), why = whyText(cue);
    return h("li", { class: `card cue-card ${kind}`, tabindex: -1, data: { cue: cue.id } },
      h("div", { class: "card-top" }, h("span", { class: "channel" }, icon(cue.channel), cue.channel), span),
      h("p", { class: "observation" }, cue.observation),
      cue.supports.length ? h("p", { class: "supports" }, "→ ", h("b", {}, cue.supports.join(", "))) : null,
      h("div", { class: "check" }, badge(cue), gauge(cue.check),
        measured ? h("span", { class: "measure" }, measured) : null, why ? h("span", { class: "why" }, why) : null));
  }

  mark() {
    for (const [id, card] of this.cards || []) card.classList.toggle("playing", this.player.loop?.id === id);
  }

  /** Bring a card into view and give it the focus. */
  reveal(cue) {
    if (!this.cards?.has(cue.id)) { this.near.checked = false; this.render(); }
    const card = this.cards.get(cue.id);
    card?.scrollIntoView({ block: "nearest" });
    card?.focus({ preventScroll: true });
  }
}
