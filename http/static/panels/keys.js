// The keys of the page, and the dialog that shows them. Not while somebody types, and not where a key has a meaning already.

const TYPING = "input, textarea, select, [contenteditable]";
// Where Space, the arrows and Home are the control's own, or scroll.
const PRESSED = "button, a, summary, [role='tab'], [role='slider'], [role='radio'], .log, .tab-body, #roster";

const part = (id) => document.getElementById(id);

// `conductor` and `bar` as in their modules; `record()` begins or ends a recording.
export function listenToKeys({ conductor, bar, record }) {
  const move = (beats) => conductor.locate(Math.max(0, Math.round(conductor.position().beat + beats)));
  const acts = {
    " ": () => conductor.toggle(),
    home: () => conductor.locate(0),
    arrowleft: ({ shiftKey }) => move(shiftKey ? -conductor.beatsPerBar : -1),
    arrowright: ({ shiftKey }) => move(shiftKey ? conductor.beatsPerBar : 1),
    l: () => bar.turnLoop(),
    c: () => conductor.setClick(!conductor.isClickOn),
    r: record,
    "?": () => part("keys").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest(TYPING) || document.querySelector("dialog:modal") || part("transport").inert) return;
    const key = event.key.toLowerCase();
    if (event.target.closest(PRESSED) && (key.length > 1 || key === " ")) return;
    const act = acts[key];
    if (!act || (event.repeat && !key.startsWith("arrow"))) return;
    event.preventDefault();
    act(event);
  });
  part("keys-open").addEventListener("click", () => part("keys").showModal());
}
