// Recording with the camera or the microphone; what is recorded stays here until it is analyzed.

const KINDS = {
  camera: { ask: { video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" }, audio: true }, types: ["video/webm;codecs=vp8,opus", "video/webm", "video/mp4"] },
  microphone: { ask: { audio: true }, types: ["audio/webm;codecs=opus", "audio/webm", "audio/mp4", "audio/ogg"] },
};
const WHY = {
  NotAllowedError: "The browser was not allowed to use it. Allow it for this page, and try again.",
  NotFoundError: "No such device was found.",
  NotReadableError: "Another program is using the device.",
};

/** Whether this browser, at this address, can record at all. */
export const canRecord = () => Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);

export class Recording {
  /** Begin to record. Throws an Error with a message for people. */
  static async start(kind, preview) {
    const { ask, types } = KINDS[kind];
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia(ask);
    } catch (error) {
      throw new Error(`The ${kind} cannot be used. ${WHY[error.name] || error.message}`);
    }
    return new Recording(kind, stream, types.find((type) => MediaRecorder.isTypeSupported(type)), preview);
  }

  constructor(kind, stream, type, preview) {
    this.kind = kind;
    this.stream = stream;
    this.pieces = [];
    this.began = performance.now();
    this.recorder = new MediaRecorder(stream, type ? { mimeType: type } : {});
    this.recorder.addEventListener("dataavailable", (event) => { if (event.data.size) this.pieces.push(event.data); });
    this.ended = new Promise((resolve) => { this.recorder.addEventListener("stop", resolve, { once: true }); });
    this.recorder.start(500);
    if (kind === "camera") { preview.srcObject = stream; preview.play().catch(() => {}); }
    this.preview = preview;
  }

  get seconds() { return (performance.now() - this.began) / 1000; }

  /** End the recording; resolves to a File. */
  async stop() {
    if (this.recorder.state !== "inactive") this.recorder.stop();
    await this.ended;
    this.release();
    const type = this.recorder.mimeType.split(";")[0] || "video/webm";
    const ending = type.endsWith("mp4") ? "mp4" : type.endsWith("ogg") ? "ogg" : "webm";
    const stamp = new Date().toTimeString().slice(0, 8).replaceAll(":", "-");
    return new File(this.pieces, `${this.kind}-${stamp}.${ending}`, { type });
  }

  release() {
    for (const track of this.stream.getTracks()) track.stop();
    this.preview.srcObject = null;
  }
}
