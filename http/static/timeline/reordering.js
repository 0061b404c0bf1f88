// Tracks are put into another order: by dragging their strips (with a finger: the grip), and by Alt with up and down.

const STILL_PX = 6;

// `moved(place)` is told where among the rows this one comes to stand.
export function reorders(row, strip, moved) {
  let held = null;

  const places = () => [...row.parentElement.children];
  const letGo = (isMeant) => {
    const { by } = held ?? {};
    held = null;
    row.classList.remove("is-held");
    row.style.removeProperty("transform");
    for (const each of places()) each.classList.remove("gives-way");
    if (isMeant && by) moved(places().indexOf(row) + by);
  };

  strip.addEventListener("pointerdown", (event) => {
    const isGrip = event.target.closest(".track-grip") !== null;
    if (event.button !== 0 || event.target.closest("button, input")) return;
    if (event.pointerType === "touch" && !isGrip) return;
    held = { y: event.clientY, by: 0, height_px: row.offsetHeight };
    strip.setPointerCapture(event.pointerId);
  });
  strip.addEventListener("pointermove", (event) => {
    if (!held) return;
    const moved_px = event.clientY - held.y;
    if (Math.abs(moved_px) < STILL_PX && held.by === 0) return;
    const at = places().indexOf(row);
    const by = Math.round(moved_px / held.height_px);
    held.by = Math.min(Math.max(by, -at), places().length - 1 - at);
    row.classList.add("is-held");
    row.style.setProperty("transform", `translateY(${moved_px}px)`);
    const target = places()[at + held.by];
    for (const each of places()) each.classList.toggle("gives-way", each === target && each !== row);
  });
  strip.addEventListener("pointerup", () => letGo(true));
  strip.addEventListener("pointercancel", () => letGo(false));
  row.addEventListener("keydown", (event) => {
    if (!event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const place = places().indexOf(row) + (event.key === "ArrowUp" ? -1 : 1);
    if (place >= 0 && place < places().length) moved(place);
  });
}
