// The keyboard: what each key does to the run in front, and the list of them in the help dialog.

import { h } from "./dom.js";

/** [keys shown, what they do] */
export const KEYS = [
  ["Space or K", "play, pause"],
  ["← →", "a tenth of a second back, forward; with Shift a whole second"],
  ["J L", "two seconds back, forward"],
  ["Home End", "to the begin, to the end"],
  ["N P", "play the next, the previous cue in a loop"],
  [", .", "slower, faster"],
  ["+ −", "zoom the timeline"],
  ["M", "sound off, on"],
  ["Esc", "end the loop and pause"],
  ["?", "this help"],
];

const typing = (target) => target instanceof Element && target.closest("input:not([type=checkbox]), textarea, select, dialog");
const pressing = (target) => target instanceof Element && target.closest("button, summary, a, input, label[tabindex]");

/** Act on a key; true when it meant something here. */
export function act(event, view, help) {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return false;
  if (event.key === "?") { help(); return true; }
  if (!view) return false;
  const { player, lanes } = view;
  const move = (time) => { player.endLoop(); player.seek(time); };
  const step = event.shiftKey ? 1 : 0.1;
  const doing = {
    " ": () => player.toggle(), k: () => player.toggle(), ArrowLeft: () => move(player.time - step), ArrowRight: () => move(player.time + step),
    j: () => move(player.time - 2), l: () => move(player.time + 2), Home: () => move(0), End: () => move(player.length),
    n: () => view.step(1), p: () => view.step(-1), ",": () => player.stepSpeed(-1), ".": () => player.stepSpeed(1),
    "+": () => lanes.zoomBy(1), "=": () => lanes.zoomBy(1), "-": () => lanes.zoomBy(-1), m: () => player.muteButton.click(),
    Escape: () => { player.endLoop(); player.pause(); },
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!doing || (event.key === " " && pressing(event.target))) return false;
  doing();
  return true;
}

/** The list for the help dialog. */
export const keyList = () => h("dl", { class: "keys" }, KEYS.map(([keys, text]) => h("div", {}, h("dt", {}, keys.split(" ").map((one) => (one === "or" ? " or " : h("kbd", {}, one)))), h("dd", {}, text))));
