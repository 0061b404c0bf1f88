// The question before the session is deleted, or left.

const part = (id) => document.getElementById(id);

let act = async () => {};

// Ask; a yes does it. It may fail with a `Problem`.
export function askBefore(then) {
  act = then;
  part("sure-problem").hidden = true;
  part("sure").showModal();
}

part("sure-act").addEventListener("click", async () => {
  try {
    await act();
  } catch ({ message }) {
    part("sure-problem").textContent = message;
    part("sure-problem").hidden = false;
  }
});
