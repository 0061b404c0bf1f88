// The page of a share link: joins the player, the waveform and the comments.

import { ask } from "../controls/api.js";
import { Comments } from "./comments.js";
import { Deck } from "./deck.js";

const FIRST_DELAY_MS = 2_000;
const LONGEST_DELAY_MS = 20_000;
const MOST_LOOKS = 12;

const main = document.getElementById("main");
const path = main.dataset.path;
const about = JSON.parse(main.dataset.about);

let comments = null;
const deck = new Deck(`${path}/audio`, about.durationSeconds, { moved: (place_s) => comments?.moved(place_s) });
if (about.comments) comments = new Comments(`${path}/comments`, about.durationSeconds, (place_s) => deck.seek(place_s));

if (about.peaks) deck.peaks = about.peaks;
else look(FIRST_DELAY_MS, MOST_LOOKS);

if ("mediaSession" in navigator) {
  navigator.mediaSession.metadata = new MediaMetadata({ title: about.sessionName, artist: about.sharedBy ?? "" });
}

// The waveform is drawn by the studio when the first link is made, and takes a moment. Without it the page works.
function look(delay_ms, left) {
  setTimeout(async () => {
    try {
      const { peaks } = await ask("GET", path);
      if (peaks) {
        deck.peaks = peaks;
        return;
      }
    } catch (problem) {
      if (!problem.isPassing) return;
    }
    if (left > 1) look(Math.min(2 * delay_ms, LONGEST_DELAY_MS), left - 1);
  }, delay_ms);
}
