// What went wrong, in words, with what can be done about it. The server's own message stands below the title.

import { key } from "./api.js";
import { h, icon } from "./dom.js";

const TITLES = {
  server_away: ["The server is away", "It may be starting, or it was stopped. Check the terminal it runs in."],
  broken_off: ["The answer broke off", "What was written so far stays below. Try again."],
  missing_key: ["This server asks for a key", "Enter the key its operator gave you. It is kept in this tab only."],
  invalid_key: ["The key is not known", "Check it for missing characters, or ask the operator for a new one."],
  payload_too_large: ["The clip is too large", "Cut it, or save it with a smaller picture."],
  media_too_large: ["The clip is too large", "Cut it, or save it with a smaller picture."],
  media_too_long: ["The clip is too long to be read in one piece", "Read it in windows, or choose a shorter span."],
  media_too_many_pixels: ["The picture is too large", "Save it with fewer pixels."],
  media_undecodable: ["The file cannot be read as video, sound or picture", "Choose another file, or save it again as MP4, WebM, WAV or PNG."],
  media_no_streams: ["The file holds neither picture nor sound", "Choose another file."],
  media_empty_file: ["The file is empty", "Choose another file, or record again."],
  media_bad_span: ["The chosen span lies outside the clip", "Change start and end in the options."],
  media_timeout: ["Reading the file took too long", "Try a shorter or smaller clip."],
  nothing_to_analyze: ["There is nothing to read", "Choose a clip, record one, or write what is said."],
  overloaded: ["The server is busy", "Your request was not lost for others; it waits its turn when you try again."],
  rate_limit: ["Too many requests in this minute", "Wait a moment; the server says how long."],
  concurrency_limit: ["Too many requests at once with this key", "Wait until one of them is done."],
  storage_full: ["The server has no room for files at the moment", "Files leave by themselves; try again later."],
  engine_loading: ["The model is still being loaded", "This takes some seconds after the start."],
  engine_dead: ["The model does not answer", "Its operator has to look; trying again may reach another copy."],
  draining: ["The server is shutting down", "Try again when it is back."],
  deadline: ["It took too long", "Try a shorter clip, or ask for labels only."],
  prompt_too_long: ["The words are too long", "Shorten them, or choose a shorter span."],
  invalid_request: ["The request was not understood", "Change the option named below."],
  internal: ["The server has a defect", "Report the request id below to its operator."],
  generation_failed: ["The model failed on this clip", "Try again; report the request id if it happens twice."],
};
/** Options as this page calls them. */
const FIELDS = {
  start: "From", end: "To", window_s: "Window", hop_s: "Step", candidates: "Choose among these emotions", question: "Your own question",
  channels: "Channels", person: "Person", transcript: "What is said", words: "What is said", form: "Answer", media: "the clip",
};
const fieldOf = (param) => FIELDS[param.replace(/^emotion\./, "").split(/[.[]/)[0]];
const AGAIN = new Set(["server_away", "broken_off", "overloaded", "rate_limit", "concurrency_limit", "storage_full", "engine_loading", "engine_dead", "draining", "deadline", "generation_failed", "internal", "unknown"]);
const DEFAULT_WAIT_S = { overloaded: 2, rate_limit: 5, concurrency_limit: 2, engine_loading: 2 };

/** A button that opens when the server's waiting time is over. */
function againButton(failure, retry) {
  const button = h("button", { type: "button", class: "primary", onclick: retry });
  let left = failure.retryAfter ?? DEFAULT_WAIT_S[failure.code] ?? 0;
  const count = () => {
    button.disabled = left > 0;
    button.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
    if (left-- > 0) setTimeout(count, 1000);
  };
  count();
  return button;
}

function keyForm(retry) {
  const input = h("input", { type: "password", name: "key", autocomplete: "off", spellcheck: "false", required: true, "aria-label": "Key" });
  return h("form", { class: "key-form", onsubmit: (event) => { event.preventDefault(); key.set(input.value.trim()); retry(); } },
    input, h("button", { type: "submit", class: "primary" }, "Use this key"));
}

/** A card that tells of a failure. `retry` tries the same again, `windows` reads the clip as a long one. */
export function faultCard(failure, { retry, windows }) {
  const [title, advice] = TITLES[failure.code] || (failure.code?.startsWith("media_") ? ["The clip cannot be read", "Choose another file."] : ["That did not work", ""]);
  const unknownKey = failure.status === 401;
  return h("div", { class: "card callout", role: "alert", data: { code: failure.code || "unknown" } },
    h("h3", {}, icon("warning"), title), advice ? h("p", {}, advice) : null,
    h("p", { class: "said" }, failure.message),
    unknownKey ? keyForm(retry) : null,
    h("p", { class: "actions" },
      failure.code === "media_too_long" && windows ? h("button", { type: "button", class: "primary", onclick: windows }, "Read it in windows") : null,
      AGAIN.has(failure.code) && retry ? againButton(failure, retry) : null),
    h("p", { class: "fine" }, h("code", {}, failure.code || "unknown"), failure.param ? [" at ", fieldOf(failure.param) ? h("b", {}, fieldOf(failure.param)) : h("code", {}, failure.param)] : null,
      failure.requestId ? [" · request ", h("code", {}, failure.requestId)] : null));
}
