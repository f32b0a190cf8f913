// The page: choosing or recording a clip, starting runs, showing one or comparing two.

import { model, ready } from "./api.js";
import { comparison } from "./compare.js";
import { byId, h, icon, put } from "./dom.js";
import { act, keyList } from "./keys.js";
import { Recording, canRecord } from "./record.js";
import { execute, kindOf, makeRun } from "./runs.js";
import { RunView } from "./view.js";
import { clock, headline } from "./wording.js";

const AUTO_WINDOWS_S = 20;
const POLL_MS = 1500;
const SUBTITLES = /\.(vtt|srt|txt)$/i;
const THEMES = ["auto", "light", "dark"];

const state = { file: null, seconds: null, limits: null, runs: [], views: new Map(), shown: null, comparing: false, pair: [], recording: null, measuring: null, queue: Promise.resolve() };
const form = byId("options");
const live = (text) => { byId("live").textContent = text; };

// ---- the server

async function meetServer() {
  const pill = byId("server");
  const told = (kind, text) => { pill.dataset.state = kind; pill.textContent = text; };
  try {
    await ready();
    told("ready", "ready");
  } catch (failure) {
    const loading = failure.code === "engine_loading";
    told(loading ? "loading" : "away", loading ? "model is loading …" : failure.code === "server_away" ? "server is away" : "not ready");
    setTimeout(meetServer, POLL_MS * (loading ? 1 : 3));
  }
  if (!state.limits) {
    try {
      const known = await model();
      state.limits = known.limits;
      byId("model").textContent = `model ${known.id}`;
      put(byId("limits"), `Up to ${known.limits.body_mb} MB. Clips over ${AUTO_WINDOWS_S} s are read in windows, up to ${Math.round(known.limits.timeline_s / 60)} minutes.`);
    } catch { /* a key is asked for when a clip is sent */ }
  }
}

// ---- the clip

/** The length of a file in seconds, or null where the browser cannot tell. */
function lengthOf(file) {
  const kind = kindOf(file);
  if (kind !== "video" && kind !== "audio") return Promise.resolve(null);
  return new Promise((resolve) => {
    const url = URL.createObjectURL(file), probe = document.createElement(kind);
    const end = (value) => { clearTimeout(limit); URL.revokeObjectURL(url); probe.removeAttribute("src"); resolve(value); };
    const limit = setTimeout(() => end(null), 4000);
    probe.preload = "metadata";
    probe.addEventListener("loadedmetadata", () => { // recordings carry no length; it is known once their end was sought
      if (Number.isFinite(probe.duration)) end(probe.duration);
      else probe.currentTime = 1e7;
    });
    probe.addEventListener("durationchange", () => { if (Number.isFinite(probe.duration)) end(probe.duration); });
    probe.addEventListener("error", () => end(null));
    probe.src = url;
  });
}

const sizeOf = (file) => (file.size < 2 ** 20 / 10 ? `${Math.ceil(file.size / 1024)} KB` : `${(file.size / 2 ** 20).toFixed(1)} MB`);

async function choose(file) {
  if (SUBTITLES.test(file.name)) {
    form.elements.words.value = await file.text();
    byId("more-words").open = true;
    live(`Words taken from ${file.name}`);
    return;
  }
  state.file = file;
  state.seconds = null;
  byId("chosen").hidden = false;
  const show = () => put(byId("chosen"), icon(kindOf(file) === "audio" ? "voice" : "file"), h("b", {}, file.name),
    h("span", {}, [sizeOf(file), state.seconds ? clock(state.seconds) : null].filter(Boolean).join(", ")),
    h("button", { type: "button", class: "plain small", "aria-label": `Put ${file.name} away`, onclick: forgetFile }, icon("close")));
  show();
  enable();
  live(`${file.name} is chosen`);
  state.measuring = lengthOf(file);
  const found = await state.measuring;
  if (state.file === file) { state.seconds = found; show(); }
}

function forgetFile() {
  state.file = null;
  byId("chosen").hidden = true;
  byId("file").value = "";
  enable();
}

/** What keeps the options from being sent, in the words of the form; empty when nothing does. */
function obstacle() {
  const { elements } = form, seconds = (name) => (elements[name].value === "" ? null : Number(elements[name].value));
  if (![...form.querySelectorAll("input[name=channels]")].some((box) => box.checked)) return "Choose at least one channel.";
  const [from, to, step, window] = [seconds("start"), seconds("end"), seconds("hop"), seconds("window")];
  if ((from ?? 0) < 0 || (to ?? 0) < 0) return "From and To are seconds from 0.";
  if (from !== null && to !== null && to <= from) return `To (${to} s) must lie after From (${from} s).`;
  if (step !== null && step > (window ?? 8)) return `Step (${step} s) must not be longer than Window (${window ?? 8} s).`;
  return "";
}

function enable() {
  const why = obstacle();
  byId("analyze").disabled = Boolean(why) || (!state.file && !form.elements.words.value.trim());
  tell(why);
  if (why && /channel|From|Step/.test(why)) byId("more-options").open = true;
}

/** A line above the button; empty takes it away. */
function tell(text) {
  byId("form-note").hidden = !text;
  byId("form-note").textContent = text;
}

/** One clip, and perhaps its subtitles, out of what was dropped or chosen; what is left out is told. */
async function take(files) {
  const words = files.filter((file) => SUBTITLES.test(file.name)), clips = files.filter((file) => !SUBTITLES.test(file.name));
  const rest = [...words.slice(1), ...clips.slice(1)].map((file) => file.name);
  if (words.length) await choose(words[0]);
  if (clips.length) choose(clips[0]);
  else enable();
  if (rest.length) tell(`One clip is read at a time. ${(clips[0] || words[0]).name} was taken; left out: ${rest.slice(0, 3).join(", ")}${rest.length > 3 ? ` and ${rest.length - 3} more` : ""}.`);
}

function takeDrops() {
  const zone = byId("drop");
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) document.addEventListener(name, (event) => { if (name === "drop" || !event.relatedTarget) zone.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
  byId("file").addEventListener("change", (event) => take([...event.target.files]));
  document.addEventListener("paste", (event) => { if (event.clipboardData?.files.length) take([...event.clipboardData.files]); });
}

// ---- recording

async function record(kind) {
  const panel = byId("recorder");
  try {
    state.recording = await Recording.start(kind, byId("preview"));
  } catch (error) {
    panel.hidden = false;
    byId("preview").hidden = true;
    put(byId("record-state"), icon("warning"), error.message);
    byId("stop-recording").hidden = true;
    return;
  }
  panel.hidden = false;
  byId("preview").hidden = kind !== "camera";
  byId("stop-recording").hidden = false;
  byId("stop-recording").focus();
  live(`Recording with the ${kind}`);
  const longest = state.limits?.max_seconds ?? 120;
  const count = () => {
    if (!state.recording) return;
    put(byId("record-state"), h("span", { class: "dot" }), `Recording, ${Math.floor(state.recording.seconds)} s of ${longest} s at most. It stays on this computer until you press Analyze.`);
    if (state.recording.seconds >= longest) stopRecording();
    else setTimeout(count, 250);
  };
  count();
}

async function stopRecording() {
  const recording = state.recording;
  if (!recording) return;
  state.recording = null;
  const file = await recording.stop();
  byId("recorder").hidden = true;
  await choose(file);
  byId("analyze").focus();
}

// ---- options and runs

function settings() {
  const { elements } = form, numberOf = (name) => (elements[name].value === "" ? undefined : Number(elements[name].value));
  const channels = [...form.querySelectorAll("input[name=channels]")].filter((box) => box.checked).map((box) => box.value);
  const list = elements.candidates.value.split(",").map((one) => one.trim()).filter(Boolean);
  return {
    transcript: elements.words.value.trim() || undefined, form: elements.form.value, channels: channels.length === 4 || !channels.length ? undefined : channels,
    person: elements.person.value, start: numberOf("start"), end: numberOf("end"), candidates: list.length ? list : undefined,
    question: elements.question.value.trim() || undefined, windowS: numberOf("window"), hopS: numberOf("hop"), guided: elements.guided.checked, mode: elements.mode.value,
  };
}

function modeFor(wanted) {
  if (!state.file || kindOf(state.file) === "image") return "clip";
  if (wanted.mode !== "auto") return wanted.mode;
  const length = (wanted.end ?? state.seconds ?? 0) - (wanted.start ?? 0);
  return length > AUTO_WINDOWS_S ? "timeline" : "clip";
}

function start(file, wanted, mode) {
  const run = makeRun(state.runs.length, file, wanted, mode);
  state.runs.push(run);
  state.views.set(run, new RunView(run, {
    stop: () => run.control.abort(),
    retry: () => again(run, run.mode),
    windows: () => again(run, "timeline"),
  }));
  document.body.classList.add("has-runs");
  state.comparing = false;
  show(run);
  const changed = () => {
    state.views.get(run)?.update();
    if (run.told !== run.status) { run.told = run.status; list(); announce(run); if (run.status !== "running") lookAt(run); }
  };
  state.queue = state.queue.then(() => {
    run.began = performance.now();
    if (run.control.signal.aborted) { run.status = "stopped"; changed(); return null; }
    return execute(run, state.limits, changed).then(() => { if (run.error?.code === "server_away") meetServer(); });
  });
  return run;
}

/** Bring the result into view where the page was not tall enough for that before; never away from what is read. */
function lookAt(run) {
  const bar = byId("runs");
  if (run === state.shown && bar.getBoundingClientRect().top > 80) bar.scrollIntoView({ block: "start", behavior: "smooth" });
}

/** The same clip once more, in place of a run that failed. */
function again(run, mode) {
  const next = start(run.file, run.settings, mode);
  state.views.get(run).close();
  state.views.delete(run);
  state.runs = state.runs.filter((one) => one !== run);
  next.number = run.number;
  list();
  state.limits || meetServer();
}

function announce(run) {
  if (run.status === "done") {
    const { report } = run;
    live(report.segments ? `Run ${run.letter} is done: ${report.segments.length} segments` : `Run ${run.letter} is done: ${headline(report)}${report.unsure ? ", unsure" : ""}`);
  } else if (run.status === "running") live(`Run ${run.letter} has begun`);
  else if (run.status === "stopped") live(`Run ${run.letter} was stopped`);
}

function show(run) {
  state.shown = run;
  const place = byId("views"), views = state.comparing ? state.pair : [run];
  for (const other of state.views.values()) if (!views.includes(other.run)) other.player.pause();
  place.className = state.comparing ? "side-by-side" : "";
  put(place, views.filter(Boolean).map((one) => state.views.get(one).root));
  for (const one of views) state.views.get(one)?.lanes.render();
  const both = state.comparing && state.pair.every((one) => one?.report && one.status !== "running");
  put(byId("comparison"), both ? comparison(...state.pair) : null);
  list();
}

const line = (run) => (run.status === "done" ? (run.report.segments ? `${run.report.segments.length} segments` : headline(run.report) + (run.report.unsure ? " (unsure)" : "")) : run.status);

/** The list of runs, and the choice of two to compare. */
function list() {
  const bar = byId("runs");
  bar.hidden = !state.runs.length;
  const done = state.runs.filter((run) => run.report && run.status !== "running");
  const tabs = state.runs.map((run) => h("button", { type: "button", class: "run-tab", "aria-pressed": String(!state.comparing && run === state.shown), data: { status: run.status },
    onclick: () => { state.comparing = false; show(run); } }, h("b", {}, run.letter), h("span", { class: "tab-name" }, run.name), h("span", { class: "tab-found" }, line(run))));
  const pick = (i) => h("select", { "aria-label": i ? "Second run" : "First run", onchange: (event) => { state.pair[i] = done.find((run) => run.letter === event.target.value); show(state.shown); } },
    done.map((run) => h("option", { value: run.letter, selected: run === state.pair[i] }, `${run.letter} ${run.name}`)));
  const compare = done.length > 1 ? h("button", { type: "button", class: "plain small", id: "compare", "aria-pressed": String(state.comparing), onclick: () => {
    state.comparing = !state.comparing;
    if (!state.pair.every((run) => done.includes(run)) || state.pair.length < 2) state.pair = done.slice(-2);
    show(state.shown);
  } }, "Compare two") : null;
  put(bar, h("div", { class: "run-tabs", role: "group", "aria-label": "Runs" }, tabs), compare, state.comparing && done.length > 1 ? h("span", { class: "picks" }, pick(0), " with ", pick(1)) : null);
}

// ---- the rest of the page

function theme() {
  const button = byId("theme");
  const use = (name) => {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.textContent = `Theme: ${name}`;
    try { localStorage.setItem("cuewise-theme", name); } catch { /* not kept */ }
  };
  let now = "auto";
  try { now = localStorage.getItem("cuewise-theme") || "auto"; } catch { /* not kept */ }
  use(THEMES.includes(now) ? now : "auto");
  button.addEventListener("click", () => { now = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]; use(now); });
}

/** The view that keys act on: the one last touched, else the first. */
function active() {
  const views = (state.comparing ? state.pair : [state.shown]).map((run) => state.views.get(run)).filter(Boolean);
  return views.find((view) => view.root === state.touched) || views[0];
}

function listen() {
  const help = byId("help");
  const openHelp = () => { help.showModal(); help.scrollTop = 0; };
  put(byId("key-list"), keyList());
  byId("open-help").addEventListener("click", () => openHelp());
  byId("close-help").addEventListener("click", () => help.close());
  document.addEventListener("keydown", (event) => { if (act(event, active(), openHelp)) event.preventDefault(); });
  for (const name of ["pointerdown", "focusin"]) {
    document.addEventListener(name, (event) => { state.touched = event.target.closest?.("article.report") || state.touched; });
  }
  form.addEventListener("input", enable);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wanted = settings();
    if ((!state.file && !wanted.transcript) || obstacle()) return;
    await state.measuring; // its length decides whether a clip is read in windows
    start(state.file, wanted, modeFor(wanted));
    byId("runs").scrollIntoView({ block: "start", behavior: "smooth" });
  });
  byId("record-camera").addEventListener("click", () => record("camera"));
  byId("record-microphone").addEventListener("click", () => record("microphone"));
  byId("stop-recording").addEventListener("click", stopRecording);
  byId("record-buttons").hidden = !canRecord();
}

theme();
takeDrops();
listen();
enable();
meetServer();
