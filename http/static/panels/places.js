// Places of the song that are named in a text, "0:24", "bar 17", "bar 11.3": found, and made buttons that go there.

// Not inside another number, as the time of day 10:24:30 or 3.0:24, nor inside a word or an address.
const PLACES = /(?<![\w:./#?=&-])(?:(?<minutes>\d{1,4}):(?<seconds>[0-5]\d)(?<tenths>\.\d)?(?![\w:/]|\.\d|-\d)|bars?\s+(?<bar>\d{1,5})(?:\.(?<beat>\d{1,2}))?(?![\w:/]|\.\d))/giu;
const ADDRESS = /\b(?:https?:\/\/|www\.)\S+/giu;

// The places in a text, in its order: `{ index, length, text, seconds }` or `{ …, bar, beat }` (both from 1). Pure. A beat
// that no bar has, or the bar 0, is no place.
export function findPlaces(text, { beatsPerBar = 32 } = {}) {
  const addresses = [...text.matchAll(ADDRESS)].map(({ index, 0: { length } }) => [index, index + length]);
  const isInAddress = (index) => addresses.some(([from, to]) => index >= from && index < to);
  return [...text.matchAll(PLACES)].flatMap(({ index, 0: found, groups }) => {
    const about = { index, length: found.length, text: found };
    if (isInAddress(index)) return [];
    if (groups.bar === undefined) {
      return [{ ...about, seconds: Number(groups.minutes) * 60 + Number(groups.seconds) + Number(groups.tenths ?? 0) }];
    }
    const bar = Number(groups.bar);
    const beat = Number(groups.beat ?? 1);
    return bar >= 1 && beat >= 1 && beat <= beatsPerBar ? [{ ...about, bar, beat }] : [];
  });
}

// Show `text` in `element`, with a button for each place. `go(place)` is what pressing one does; `beatsPerBar()` as it is now.
export function showPlaces(element, text, { go, beatsPerBar }) {
  const nodes = [];
  let shown = 0;
  for (const place of findPlaces(text, { beatsPerBar: beatsPerBar() })) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "place-link";
    button.textContent = place.text;
    button.title = "Go there";
    button.addEventListener("click", () => go(place));
    nodes.push(text.slice(shown, place.index), button);
    shown = place.index + place.length;
  }
  element.replaceChildren(...nodes, text.slice(shown));
}
