// The public API of the server, and nothing else: upload, streamed answers, timelines, and one kind of failure.

const KEY = "cuewise-key";
const KEEP_S = 1800;

/** A refusal or breakdown, in one shape whatever its source. */
export class Failure extends Error {
  constructor({ code, message, status = 0, param = null, retryAfter = null, requestId = null }) {
    super(message);
    Object.assign(this, { code, status, param, retryAfter, requestId });
  }
}

/** The key that requests carry, kept for this tab only. */
export const key = {
  get: () => { try { return sessionStorage.getItem(KEY) || ""; } catch { return key.held || ""; } },
  set: (value) => {
    key.held = value;
    try { if (value) sessionStorage.setItem(KEY, value); else sessionStorage.removeItem(KEY); } catch { /* kept in memory */ }
  },
};

const headers = (more = {}) => (key.get() ? { authorization: `Bearer ${key.get()}`, ...more } : more);
const away = () => new Failure({ code: "server_away", message: "The server does not answer." });
const seconds = (text) => (text && /^\d+$/.test(text) ? Number(text) : null);

function fromBody(text, status, header) {
  const known = { status, retryAfter: seconds(header("retry-after")), requestId: header("x-request-id") };
  try {
    const { error } = JSON.parse(text);
    return new Failure({ code: error.code, message: error.message, param: error.param, ...known });
  } catch {
    return new Failure({ code: "unknown", message: `The server answered with status ${status}, without saying why.`, ...known });
  }
}

async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", credentials: "omit", ...options, headers: headers(options.headers) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw away();
  }
  if (!answer.ok) throw fromBody(await answer.text().catch(() => ""), answer.status, (name) => answer.headers.get(name));
  return answer;
}

/** What the server says of its model: labels, limits, notice. */
export const model = async () => (await (await call("v1/models")).json()).data[0];

/** Throws a Failure while requests cannot be answered. */
export const ready = async () => { await call("readyz"); };

/** Send a file; `onProgress` gets the share sent, 0 to 1. Resolves to its id. */
export function upload(file, name, { signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("file", file, name);
    form.append("purpose", "user_data");
    form.append("expires_after[seconds]", String(KEEP_S));
    const request = new XMLHttpRequest();
    request.open("POST", "v1/files");
    for (const [header, value] of Object.entries(headers())) request.setRequestHeader(header, value);
    request.upload.addEventListener("progress", (event) => onProgress(event.total ? event.loaded / event.total : 0));
    request.addEventListener("load", () => {
      if (request.status === 200) resolve(JSON.parse(request.responseText).id);
      else reject(fromBody(request.responseText, request.status, (header) => request.getResponseHeader(header)));
    });
    request.addEventListener("error", () => reject(away()));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    if (signal.aborted) reject(new DOMException("stopped", "AbortError"));
    else request.send(form);
  });
}

/** Remove an uploaded file; it would expire by itself. */
export const forget = (id) => call(`v1/files/${encodeURIComponent(id)}`, { method: "DELETE" }).catch(() => {});

/** Server-sent events of a POST as values. Throws a Failure for an error frame and for a stream that breaks off. */
async function* events(path, body, signal) {
  const answer = await call(path, {
    method: "POST", body: JSON.stringify(body), signal, headers: { "content-type": "application/json" },
  });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const broken = (message) => new Failure({ code: "broken_off", message, requestId: answer.headers.get("x-request-id") });
  let held = "";
  try {
    while (true) {
      let piece;
      try {
        piece = await reader.read();
      } catch (error) {
        if (error.name === "AbortError") throw error;
        throw broken("The connection broke in the middle of the answer.");
      }
      if (piece.done) throw broken("The answer ended before it was complete.");
      const blocks = (held + piece.value).split("\n\n");
      held = blocks.pop();
      for (const block of blocks) {
        if (!block.startsWith("data: ")) continue;
        const data = block.slice(6);
        if (data === "[DONE]") return;
        const value = JSON.parse(data);
        if (value.error) throw new Failure({ ...value.error, requestId: answer.headers.get("x-request-id") });
        yield value;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Read one clip: yields { text } as the answer is written, then { report }. */
export async function* analyze({ fileId, question, options }, signal) {
  const content = fileId ? [{ type: "file", file: { file_id: fileId } }] : [];
  if (question) content.push({ type: "text", text: question });
  const body = { stream: true, messages: [{ role: "user", content: content.length ? content : "" }], emotion: options };
  for await (const chunk of events("v1/chat/completions", body, signal)) {
    const delta = chunk.choices[0]?.delta || {};
    if (delta.content) yield { text: delta.content };
    if (delta.emotion) yield { report: delta.emotion };
  }
}

/** Read a long clip: yields the events `window`, `segment`, `gap` and `end`. */
export const timeline = ({ fileId, question, options, windowS, hopS }, signal) =>
  events("v1/emotion/timeline", {
    ...options, ...(question ? { question } : {}), media: { file_id: fileId }, window_s: windowS, hop_s: hopS, format: "sse",
  }, signal);
