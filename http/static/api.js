// Asking our own web app for something, as JSON. What goes wrong becomes a `Problem`.

const TIMEOUT_MS = 15_000;
const UNREACHABLE = "The studio cannot be reached. Check your connection and try again.";

// `status` is 0 when nothing came back. `message` is a sentence to show.
export class Problem extends Error {
  constructor(status, code, message, retryAfter_ms = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter_ms = retryAfter_ms;
  }

  // Whether the same request may well work a little later.
  get isPassing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

export async function ask(method, path, body) {
  let response;
  let answer;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    answer = await response.json();
  } catch {
    throw new Problem(0, "unreachable", UNREACHABLE);
  }
  if (response.ok) return answer;
  const wait_s = Number(response.headers.get("Retry-After")) || 0;
  throw new Problem(response.status, answer.code ?? "", answer.error ?? UNREACHABLE, wait_s * 1000);
}
