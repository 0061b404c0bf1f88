// Buttons that copy a link.

const COPIED_MS = 2_000;

// `text()` gives what to copy. `field`, when there is one, holds it too.
export function copies(button, text, field = null) {
  const words = button.querySelector("span");
  const usual = words.textContent;
  let timer = 0;
  button.addEventListener("click", async () => {
    words.textContent = (await written(text(), field)) ? "Copied" : "Press Ctrl+C";
    clearTimeout(timer);
    timer = setTimeout(() => (words.textContent = usual), COPIED_MS);
  });
}

async function written(text, field) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without https a page may not write to the clipboard; then the link is there to be copied by hand.
    field?.focus();
    field?.select();
    return false;
  }
}
