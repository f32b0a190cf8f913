// Small helpers to build the page. Text is only ever set as text; nothing from outside is read as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else if (name === "data") for (const [key, text] of Object.entries(value)) element.dataset[key] = text;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** An HTML element: h("p", { class: "note", onclick: f }, "text", child). */
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

/** An SVG element. */
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

const PATHS = {
  supported: ["M3.5 8.5l3 3 6-7"],
  contradicted: ["M4 4l8 8M12 4l-8 8"],
  not_measurable: ["M5.6 6.2a2.4 2.4 0 1 1 3.4 2.2c-.8.4-1 .8-1 1.6M8 12.6v.1"],
  no_claim: ["M4 8h8"],
  pending: ["M4 8h.1M8 8h.1M12 8h.1"],
  face: ["M2 8a6 6 0 1 0 12 0a6 6 0 1 0-12 0M6 6.6v.1M10 6.6v.1M5.4 9.6c1.4 1.8 3.8 1.8 5.2 0"],
  voice: ["M2 8v.5M4.4 5.6v5M6.8 3v10M9.2 5v6M11.6 6.4v3.4M14 8v.5"],
  words: ["M2.5 3.5h11v7h-6l-3 2.6v-2.6h-2zM5 6.2h6M5 8.2h4"],
  scene: ["M2 4.5A1.5 1.5 0 0 1 3.5 3h9A1.5 1.5 0 0 1 14 4.5v7a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 2 11.5zM2.5 11.5l3.6-4 2.8 3 2-2 2.8 3M11 5.9v.1"],
  emotion: ["M8 13.5C3.5 10.4 2 8.2 2 6a3 3 0 0 1 6-.8A3 3 0 0 1 14 6c0 2.2-1.5 4.4-6 7.5z"],
  affect: ["M2 12l3.5-5 3 3L14 4"],
  conflict: ["M3 6h10M3 10h10M11 2.5l-6 11"],
  warning: ["M8 2.2L14.6 13.4H1.4zM8 6.4v3.4M8 11.6v.1"],
  play: ["M5 3.5v9l7-4.5z"],
  pause: ["M5.5 3.5v9M10.5 3.5v9"],
  loop: ["M3 8a5 5 0 0 1 8.5-3.5L13 6M13 3v3h-3M13 8a5 5 0 0 1-8.5 3.5L3 10M3 13v-3h3"],
  sound: ["M3 6.2v3.6h2.3L8.5 12.5v-9L5.3 6.2zM11 6a3 3 0 0 1 0 4"],
  muted: ["M3 6.2v3.6h2.3L8.5 12.5v-9L5.3 6.2zM11 6.5l3 3M14 6.5l-3 3"],
  camera: ["M1.8 4.5h8.4v7H1.8zM10.2 7.2l4-2v5.6l-4-2"],
  mic: ["M8 2.2a1.8 1.8 0 0 1 1.8 1.8v3.6a1.8 1.8 0 0 1-3.6 0V4A1.8 1.8 0 0 1 8 2.2zM4 7.5a4 4 0 0 0 8 0M8 11.5v2.3"],
  file: ["M4 2h5l3 3v9H4zM9 2v3h3"],
  save: ["M8 2.5v7.5M5 7l3 3 3-3M3 13h10"],
  close: ["M4 4l8 8M12 4l-8 8"],
};

/** A line drawing in the colour of the text around it. */
export function icon(name) {
  const paths = PATHS[name].map((d) => s("path", { d }));
  return s("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" }, paths);
}

/** Replace what an element holds. */
export function put(element, ...children) {
  element.replaceChildren();
  return fill(element, {}, children);
}
