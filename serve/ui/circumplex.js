// The plane of valence (left to right) and arousal (bottom to top), with each channel alone, and the way taken so far.

import { s } from "./dom.js";
import { signed } from "./wording.js";

const TRAIL = 14;
/** The place of a reading; what lies outside the circle is drawn on its rim. */
const at = ({ valence, arousal }) => {
  const far = Math.max(1, Math.hypot(valence, arousal));
  return [(valence / far) * 100, (-arousal / far) * 100];
};
const known = (one) => one && one.valence !== null && one.valence !== undefined && one.arousal !== null;

/**
 * @param {{dots: {valence: number, arousal: number, name?: string, unsure?: boolean}[], channels?: object,
 *   trail?: object[]}} seen `dots` are answers (two when runs are compared), `trail` earlier segments, oldest first.
 */
export function circumplex({ dots, channels = {}, trail = [] }) {
  const shown = dots.filter(known);
  if (!shown.length) return null;
  const corners = [["active", 0, -106, "middle"], ["calm", 0, 116, "middle"], ["unpleasant", -104, 4, "end"], ["pleasant", 104, 4, "start"]];
  const way = trail.filter(known).slice(-TRAIL);
  const label = shown.map((dot) => `${dot.name ? `${dot.name}: ` : ""}valence ${signed(dot.valence)}, arousal ${signed(dot.arousal)}`).join("; ");
  return s("svg", { class: "plane", viewBox: "-190 -124 380 248", role: "img", "aria-label": `${label}, both from minus 1 to 1` },
    s("circle", { cx: 0, cy: 0, r: 100, class: "rim" }),
    s("line", { x1: -100, y1: 0, x2: 100, y2: 0, class: "axis" }), s("line", { x1: 0, y1: -100, x2: 0, y2: 100, class: "axis" }),
    corners.map(([word, x, y, anchor]) => s("text", { x, y, class: "corner", "text-anchor": anchor }, word)),
    Object.entries(channels).filter(([, one]) => known(one)).map(([name, one]) => channelDot(name, one)),
    trailOf(way),
    shown.map((dot, i) => answerDot(dot, i)));
}

function trailOf(way) {
  const steps = [];
  way.forEach((point, i) => {
    const strength = (0.15 + (0.75 * (i + 1)) / way.length).toFixed(2), [x, y] = at(point);
    if (i) {
      const [x0, y0] = at(way[i - 1]);
      steps.push(s("line", { x1: x0, y1: y0, x2: x, y2: y, class: "trail", opacity: strength }));
    }
    steps.push(s("circle", { cx: x, cy: y, r: 3, class: "trail-dot", opacity: strength }));
  });
  return steps;
}

function answerDot(dot, number) {
  const [x, y] = at(dot);
  return s("g", { class: `answer-dot number-${number}${dot.unsure ? " unsure" : ""}` }, s("circle", { cx: x, cy: y, r: 17, class: "halo" }),
    s("circle", { cx: x, cy: y, r: 10, class: "dot" }),
    dot.name ? s("text", { x, y: y + 4.2, "text-anchor": "middle", class: "dot-letter" }, dot.name) : null);
}

function channelDot(name, one) {
  const [x, y] = at(one);
  return s("g", {}, s("title", {}, `${name} alone: valence ${signed(one.valence)}, arousal ${signed(one.arousal)}`),
    s("circle", { cx: x, cy: y, r: 9, class: "channel-dot" }),
    s("text", { x, y: y + 3.6, "text-anchor": "middle", class: "channel-letter" }, name[0].toUpperCase()));
}
