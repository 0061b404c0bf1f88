// The line above the talk when the connection is lost: why, when it is tried again, and what to press meanwhile.

const COUNT_EVERY_MS = 250;

const part = (id) => document.getElementById(id);

let counting = 0;

// `act()` is what pressing the button named `action` does.
export function notice(words, action, act) {
  stopCounting();
  part("notice-words").textContent = words;
  part("notice-action").textContent = action;
  part("notice-action").onclick = act;
}

// Count down to `at`, by `performance.now`.
export function countDown(at) {
  const count = () => {
    const left_s = Math.ceil((at - performance.now()) / 1000);
    part("notice-countdown").textContent = left_s > 0 ? `Trying again in ${left_s} s.` : "Trying again…";
  };
  count();
  counting = setInterval(count, COUNT_EVERY_MS);
}

export function stopCounting() {
  clearInterval(counting);
  part("notice-countdown").textContent = "";
}
