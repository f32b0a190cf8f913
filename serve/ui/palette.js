// Colours of emotions: steps that stay apart for colour-blind eyes (after Okabe and Ito). Text always stands beside them.

const TONES = {
  neutral: "--tone-grey", calm: "--tone-sky", happy: "--tone-yellow", sad: "--tone-blue", angry: "--tone-vermilion",
  fearful: "--tone-purple", disgust: "--tone-green", surprised: "--tone-orange",
};
const NEAR = { anger: "angry", fear: "fearful", joy: "happy", happiness: "happy", sadness: "sad", surprise: "surprised", disgusted: "disgust" };

/** The colour of an emotion word, as a CSS value; grey for words outside the common eight. */
export function tone(label) {
  const name = TONES[label] || TONES[NEAR[label]] || "--tone-grey";
  return `var(${name})`;
}
