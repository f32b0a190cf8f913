// A run: one clip with one set of options, from upload to report.

import { Failure, analyze, forget, timeline, upload } from "./api.js";
import { merged } from "./merge.js";
import { withIds } from "./reasoning.js";
import { timedWords } from "./subtitles.js";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const ENDINGS = { audio: ["wav", "mp3", "flac", "ogg", "oga", "opus", "m4a", "aac"], image: ["jpg", "jpeg", "png", "webp", "gif", "bmp"] };
const DEFAULTS = { form: "explained", person: "largest", guided: false };

/** Which kind of player a file needs. */
export function kindOf(file) {
  if (!file) return "words";
  const kind = file.type.split("/")[0], ending = file.name.split(".").at(-1).toLowerCase();
  if (kind === "audio" || kind === "image" || kind === "video") return kind;
  return Object.keys(ENDINGS).find((one) => ENDINGS[one].includes(ending)) || "video";
}

/** What differs from the usual options, in a few words each. */
function differences(settings, mode) {
  const said = [];
  if (settings.form === "direct") said.push("labels only");
  if (settings.channels) said.push(`${settings.channels.join(" + ")} only`);
  if (settings.person !== "largest" && settings.person !== undefined) said.push(`person: ${settings.person}`);
  if (settings.candidates) said.push(`candidates: ${settings.candidates.join(", ")}`);
  if (settings.question) said.push("own question");
  if (settings.guided) said.push("guided");
  if (settings.transcript) said.push("with words");
  if (mode === "timeline") said.push("in windows");
  return said;
}

export function makeRun(number, file, settings, mode) {
  const name = file ? file.name : "words alone";
  return {
    number, letter: LETTERS[number % 26] + (number >= 26 ? Math.floor(number / 26) : ""), name, file, url: file ? URL.createObjectURL(file) : null, kind: kindOf(file),
    settings, mode, differences: differences(settings, mode), status: "running", stage: "queued", progress: 0, began: performance.now(),
    text: "", raw: null, report: null, windows: [], segments: [], gaps: [], error: null, control: new AbortController(),
  };
}

/** The options of a request, in the words of the API. */
function optionsOf({ settings, name, file }) {
  const words = settings.transcript ? timedWords(settings.transcript) : null;
  const options = { name: file ? name : undefined, start: settings.start, end: settings.end, channels: settings.channels, candidates: settings.candidates };
  for (const [field, usual] of Object.entries(DEFAULTS)) if (settings[field] !== usual) options[field] = settings[field];
  if (words) options.words = words;
  else if (settings.transcript) options.transcript = settings.transcript;
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined && value !== null));
}

/** Carry out a run; `changed` is called whenever there is something new to show. Failures end up in `run.error`. */
export async function execute(run, limits, changed) {
  let fileId = null;
  const { signal } = run.control;
  try {
    if (run.file) {
      if (limits && run.file.size > limits.body_mb * 2 ** 20) {
        throw new Failure({ code: "payload_too_large", message: `The file has ${(run.file.size / 2 ** 20).toFixed(1)} MB, the server takes ${limits.body_mb} MB.` });
      }
      run.stage = "uploading";
      changed();
      fileId = await upload(run.file, run.name, { signal, onProgress: (share) => { run.progress = share; changed(); } });
    }
    run.stage = run.mode === "timeline" ? "windows" : "reading";
    changed();
    if (run.mode === "timeline") await readWindows(run, fileId, changed);
    else await readClip(run, fileId, changed);
    run.status = "done";
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) run.status = "stopped";
    else {
      run.status = "failed";
      run.error = error instanceof Failure ? error : new Failure({ code: "unknown", message: String(error.message || error) });
    }
  } finally {
    if (fileId) forget(fileId);
    changed();
  }
}

async function readClip(run, fileId, changed) {
  const question = run.settings.question || null;
  for await (const event of analyze({ fileId, question, options: optionsOf(run) }, run.control.signal)) {
    if (event.text) { run.stage = "writing"; run.text += event.text; }
    if (event.report) { run.raw = event.report; run.report = shown(event.report, run.settings.transcript); }
    changed();
  }
  if (!run.report) throw new Failure({ code: "broken_off", message: "The answer ended without its report." });
}

/** A report as it is shown: cues with ids, and the given words where they carry no times. */
export function shown(report, transcript) {
  const words = report.words.length || !transcript ? report.words : transcript.trim().split(/\s+/).map((text) => ({ text, start: null, end: null }));
  return { ...report, words, cues: withIds(report.cues) };
}

async function readWindows(run, fileId, changed) {
  const { settings } = run, options = optionsOf(run);
  if (options.transcript) throw new Failure({ code: "invalid_request", param: "words", message: "A clip that is read in windows needs words with times; paste them as subtitles (WebVTT or SubRip), or leave them out." });
  const events = timeline({ fileId, question: settings.question, options, windowS: settings.windowS, hopS: settings.hopS }, run.control.signal);
  let ended = false;
  for await (const event of events) {
    if (event.type === "window") run.windows.push(event);
    else if (event.type === "segment") run.segments.push(event);
    else if (event.type === "gap") run.gaps.push(event);
    else if (event.type === "end") ended = true;
    run.report = merged(run);
    changed();
  }
  if (!ended) throw new Failure({ code: "broken_off", message: "The timeline ended before the clip did." });
}
