// Asking our own web app for something, as JSON. What goes wrong becomes a `Problem`.

const TIMEOUT_MS = 15_000;
export const UNREACHABLE = "The studio cannot be reached. Check your connection and try again.";

// `status` is 0 when nothing came back. `message` is a sentence to show.
export class Problem extends Error {
  constructor(status, code, message, retryAfter_ms = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter_ms = retryAfter_ms;
  }

  // Whether the same request may well work a little later. A full disk (507) is not full for a moment.
  get isPassing() {
    return [0, 408, 429].includes(this.status) || (this.status >= 500 && this.status !== 507);
  }
}

// What was asked for that may change something, until it is answered: `{ path, answer }`, the oldest first.
const asking = new Set();

// Changes of one thing are asked one after the other: of two requests at once, either may come first. A POST makes
// something new, and waits for none.
export function ask(method, path, body) {
  const send = () => request(method, path, body);
  if (method === "GET") return send();
  const before = method === "POST" ? null : [...asking].findLast((each) => each.path === path);
  const answer = before ? before.answer.then(send, send) : send();
  const asked = { path, answer };
  asking.add(asked);
  const end = () => asking.delete(asked);
  answer.then(end, end);
  return answer;
}

// Resolves when all is answered that was asked for here and may change something, and what followed those answers.
export async function allAnswered() {
  while (asking.size > 0) await Promise.allSettled([...asking].map(({ answer }) => answer));
}

async function request(method, path, body) {
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
  throw problemIn(response.status, response.headers.get("Retry-After"), answer);
}

// What an answer says that went wrong. `answer` is its JSON, or null when it has none.
export function problemIn(status, retryAfter, answer) {
  return new Problem(status, answer?.code ?? "", answer?.error ?? UNREACHABLE, (Number(retryAfter) || 0) * 1000);
}
