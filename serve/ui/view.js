// One run on the page: player, answer, timeline, evidence, reasoning, and what was read.

import { readings, answerCard, segmentCard } from "./answer.js";
import { wavePeaks } from "./curves.js";
import { h, icon, put } from "./dom.js";
import { Evidence } from "./evidence.js";
import { exportButtons } from "./export.js";
import { faultCard } from "./faults.js";
import { Lanes } from "./lanes.js";
import { Player } from "./player.js";
import { Reasoning, readDraft } from "./reasoning.js";
import { CHANNELS, clock, hasSpan, streamText } from "./wording.js";

const MAX_WAVE_BYTES = 64 * 2 ** 20;
const DRAW_EVERY_MS = 200;
const STAGES = { queued: "Waiting for the run before", uploading: "Sending the clip", reading: "Looking and listening", writing: "Writing what was seen and heard", windows: "Reading window by window" };

export class RunView {
  /** @param {object} run see runs.js @param {{stop, retry, windows, again}} acts */
  constructor(run, acts) {
    this.run = run;
    this.acts = acts;
    this.player = new Player({ url: run.url, kind: run.kind, name: run.name, said: run.settings.transcript || "" });
    const play = (cue) => this.play(cue), show = (cue) => this.evidence.reveal(cue);
    this.lanes = new Lanes(this.player, (cue) => { this.play(cue); });
    this.evidence = new Evidence(this.player, play);
    this.reasoning = new Reasoning((cue) => this.play(cue, false), show);
    this.head = h("header", {});
    this.status = h("div", {});
    this.answer = h("div", {});
    this.more = h("div", { class: "stack" });
    this.readings = h("div", {});
    this.root = h("article", { class: "report", data: { run: run.letter, status: run.status } }, this.head,
      h("div", { class: "top" }, h("div", { class: "clip-place" }, this.player.root, this.readings), h("div", { class: "answer-place" }, this.status, this.answer)), this.lanes.root, this.evidence.root,
      h("div", { class: "pair" }, this.reasoning.root, this.more));
    this.player.addEventListener("time", () => { if (this.run.report?.segments?.length) this.showSegment(); });
    this.ticking = setInterval(() => this.tick(), 1000);
    this.update();
    this.drawWave();
  }

  async drawWave() {
    const { file, kind, settings } = this.run;
    if (!file || kind === "image" || file.size > MAX_WAVE_BYTES) return;
    const start = settings.start || 0;
    const peaks = await wavePeaks(file, start, settings.end ? settings.end - start : 0);
    if (peaks) this.lanes.setPeaks(peaks);
  }

  play(cue, look = true) {
    if (look) this.player.lookAt();
    if (hasSpan(cue)) this.player.playLoop(cue.start, cue.end, cue.id);
    else this.player.playLoop(0, this.lanes.length || 1, cue.id);
  }

  /** Next (1) or previous (-1) cue in time. */
  step(direction) {
    const cues = this.evidence.cues;
    if (!cues.length) return;
    const at = cues.findIndex((cue) => cue.id === this.player.loop?.id);
    const next = cues[(at < 0 ? (direction > 0 ? 0 : cues.length - 1) : (at + direction + cues.length) % cues.length)];
    this.play(next, false);
    this.evidence.reveal(next);
  }

  /** Draw the state of the run; many updates in a row are drawn as few. */
  update() {
    const wait = this.run.status === "running" ? Math.max(0, DRAW_EVERY_MS - (performance.now() - (this.drawn || 0))) : 0;
    clearTimeout(this.later);
    if (wait) this.later = setTimeout(() => this.draw(), wait);
    else this.draw();
  }

  draw() {
    this.drawn = performance.now();
    const { run } = this;
    this.root.dataset.status = run.status;
    this.player.noteOf(run.status);
    this.drawHead();
    this.drawAnswer();
    if (run.report) this.drawReport(run.report);
    else if (run.text) this.drawDraft(readDraft(run.text));
  }

  drawHead() {
    const { run } = this, { report } = run;
    const facts = [`run ${run.letter}`, ...run.differences];
    if (report?.duration) facts.push(clock(report.duration) + (report.start ? `, from ${clock(report.start)}` : ""));
    if (report) facts.push(`model ${report.model}`);
    if (report?.timing_ms.total && run.mode === "clip") facts.push(`read in ${(report.timing_ms.total / 1000).toFixed(1)} s`);
    if (run.mode === "timeline" && run.windows.length) facts.push(`${run.windows.length} windows`);
    put(this.head, h("h2", {}, run.name), h("p", { class: "facts" }, facts.map((fact) => h("span", {}, fact))),
      run.report && run.status !== "running" ? exportButtons(run) : null);
  }

  drawAnswer() {
    const { run } = this;
    if (this.shownStatus !== run.status) { // the buttons in it must stay in place while they are used
      this.shownStatus = run.status;
      put(this.status, this.statusCard());
    }
    this.tick();
    if (run.report?.segments?.length) {
      this.shownSegment = null;
      this.showSegment();
    } else if (run.report && run.mode === "clip") put(this.answer, answerCard(run.report));
  }

  statusCard() {
    const { run } = this;
    if (run.status === "running") return this.waiting();
    if (run.error) return faultCard(run.error, { retry: this.acts.retry, windows: run.file ? this.acts.windows : null });
    if (run.status !== "stopped") return null;
    return h("div", { class: "card callout quiet" }, h("h3", {}, "Stopped"), h("p", {}, "What was found so far stays below."),
      h("p", { class: "actions" }, h("button", { type: "button", class: "primary", onclick: this.acts.retry }, "Start again")));
  }

  waiting() {
    this.stage = h("p", { class: "stage-text" });
    this.progress = h("progress", { max: 1, "aria-label": "Progress" });
    this.elapsed = h("span", { class: "fine" });
    const card = h("div", { class: "card waiting" }, this.stage, this.progress,
      h("p", { class: "actions" }, h("button", { type: "button", class: "plain", onclick: this.acts.stop }, "Stop"), this.elapsed));
    return card;
  }

  tick() {
    const { run } = this;
    if (run.status !== "running" || !this.stage) return;
    const share = run.stage === "windows" && this.lanes.length && run.report ? run.report.duration / (this.player.length || Infinity) : run.progress;
    const text = run.stage === "uploading" ? ` (${Math.round(run.progress * 100)} %)` : run.stage === "windows" && run.windows.length ? ` (${run.windows.length} so far)` : "";
    this.stage.textContent = `${STAGES[run.stage]}${text} …`;
    if (run.stage === "uploading" || (run.stage === "windows" && share > 0 && share <= 1)) this.progress.value = share;
    else this.progress.removeAttribute("value");
    this.elapsed.textContent = `${Math.round((performance.now() - run.began) / 1000)} s`;
  }

  drawDraft(draft) {
    this.lanes.set({ cues: draft.cues, pending: true });
    this.evidence.set(draft.cues, false);
    this.reasoning.draft(draft);
  }

  drawReport(report) {
    const windowed = Boolean(report.segments);
    this.player.setReport({ offset: report.start, length: windowed ? Math.max(report.duration, this.player.length) : report.duration, track: report.tracks[0] });
    this.lanes.set(windowed && this.run.status === "running" ? { ...report, duration: this.player.length || report.duration, pending: true } : report);
    this.evidence.set(report.cues, windowed && report.segments.length > 3);
    if (!windowed) {
      this.reasoning.set(report);
      put(this.readings, readings(report));
    }
    put(this.more, this.streams(report), this.problems(report));
  }

  showSegment() {
    const { id, card } = segmentCard(this.run.report, this.player.time);
    if (id === this.shownSegment) return;
    this.shownSegment = id;
    put(this.answer, card());
  }

  streams(report) {
    const rows = CHANNELS.filter((name) => report.streams[name]).map((name) => {
      const stream = report.streams[name], text = streamText(stream).replace(/^absent: /, "");
      return h("tr", { class: stream.present ? "" : "gone" }, h("th", { scope: "row" }, icon(name), name), h("td", {}, stream.present ? "present" : "absent"), h("td", {}, text === "present" ? "" : text));
    });
    const timing = Object.entries(report.timing_ms).filter(([name]) => name !== "total");
    return rows.length ? h("section", { class: "card streams" }, h("h3", {}, "What was read"), h("table", {}, h("tbody", {}, rows)),
      timing.length ? h("details", {}, h("summary", {}, "Time taken"), h("table", {}, h("tbody", {}, timing.map(([name, ms]) =>
        h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, `${(ms / 1000).toFixed(2)} s`)))))) : null) : null;
  }

  problems(report) {
    if (!report.problems.length) return null;
    return h("section", { class: "card problems" }, h("h3", {}, icon("warning"), "Problems"),
      h("ul", {}, report.problems.map((one) => h("li", {}, h("code", {}, one.code), " ", one.message))));
  }

  close() {
    clearInterval(this.ticking);
    clearTimeout(this.later);
    this.player.close();
    this.root.remove();
  }
}
