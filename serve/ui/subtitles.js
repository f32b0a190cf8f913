// Words: plain text, or subtitles (WebVTT, SubRip) whose times are spread over the words of each line.

const TIMES = /(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{1,3})\s*-->\s*(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{1,3})/;

const seconds = (hours, minutes, rest, millis) =>
  Number(hours || 0) * 3600 + Number(minutes) * 60 + Number(rest) + Number(millis.padEnd(3, "0")) / 1000;

/** Words with times when the text is subtitles, else null. Longer words get a longer share of their line. */
export function timedWords(text) {
  if (!TIMES.test(text)) return null;
  const words = [];
  for (const block of text.replace(/\r/g, "").split(/\n\s*\n/)) {
    const lines = block.split("\n"), at = lines.findIndex((line) => TIMES.test(line));
    if (at < 0) continue;
    const m = lines[at].match(TIMES), start = seconds(...m.slice(1, 5)), end = seconds(...m.slice(5, 9));
    const said = lines.slice(at + 1).join(" ").replace(/<[^>]*>/g, "").split(/\s+/).filter(Boolean);
    const total = said.reduce((sum, word) => sum + word.length + 1, 0);
    let from = start;
    for (const word of said) {
      const until = from + ((end - start) * (word.length + 1)) / total;
      words.push({ text: word, start: Number(from.toFixed(3)), end: Number(until.toFixed(3)) });
      from = until;
    }
  }
  return words.length ? words : null;
}
