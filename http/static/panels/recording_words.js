// What the panel that records says.

import { timeInWords } from "../controls/quantities.js";

export const READY = "Ready. Press Record, or the key R.";
export const LISTENING = "You are a listener here. The owner can make you an editor, who records.";
export const SAFE = "The recording is kept in this browser.";
export const UNSAFE = "The browser has no room to keep the recording. Do not close this page before it is saved.";
export const SOON_FULL = "A recording cannot get much longer. It stops by itself.";
// By what is gone: between recordings, and while something was recorded.
export const GONE = {
  microphone: {
    idle: "The microphone is gone. Plug it in, or use another one.",
    cutShort: "The microphone is gone. What you recorded until then is kept.",
  },
  output: {
    idle: "The sound device is gone. Use the microphone again when there is one.",
    cutShort: "The sound device is gone. What you recorded until then is kept.",
  },
};
export const ENDED = {
  moved: "The song was moved, so the recording ended there. It is kept.",
  loop: "The loop was changed, so the recording ended there. It is kept.",
  full: "The recording cannot get longer, so it ended there. It is kept.",
};
export const CUT_OFF = "The last pass was shorter than two seconds. It is not kept.";
export const SILENT = "The song does not start. Try again.";
export const EMPTY = "Nothing was recorded.";
export const BROKEN = "That did not work. Try again.";

export function savedInWords(takes) {
  const [, last] = takes.names;
  return takes.count === 1 ? `Saved: ${last}, ${timeInWords(takes.seconds)}.` : `Saved: ${takes.count} takes. ${last} is heard.`;
}
