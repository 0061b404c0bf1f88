// Asking our own web app for something, as JSON. What goes wrong becomes a `Problem`.

const TIMEOUT_MS = 15_000;
// In UTF-16 units. Browsers refuse more than 64 KiB of all that may outlive a page together.
const LONGEST_KEPT_ALIVE = 4_096;
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

// What was asked for that may change something, until it is answered, the oldest first.
const asking = new Set();
let isLeft = false;

// Changes of one thing are asked one after the other: of two requests at once, either may come first. A POST makes
// something new, and waits for none.
export function ask(method, path, body) {
  if (method === "GET") return request(method, path, body);
  const before = isLeft || method === "POST" ? null : [...asking].findLast((each) => each.path === path);
  const change = { method, path, body, isSent: false };
  change.answer = new Promise((resolve) => {
    change.begin = (sending) => {
      change.isSent = true;
      resolve(sending);
    };
  });
  const send = () => change.isSent || change.begin(request(method, path, body));
  if (before) before.answer.then(send, send);
  else send();
  asking.add(change);
  const end = () => asking.delete(change);
  change.answer.then(end, end);
  return change.answer;
}

// Nothing has a turn any more when the page is left: what waits for it is asked for now, of each thing in one request.
globalThis.addEventListener?.("pagehide", () => {
  isLeft = true;
  const waiting = [...asking].filter(({ isSent }) => !isSent);
  for (const path of new Set(waiting.map((change) => change.path))) {
    const changes = waiting.filter((change) => change.path === path);
    const { method, body } = changes.at(-1);
    const isPartial = method === "PATCH";
    const sending = request(method, path, isPartial ? Object.assign({}, ...changes.map((change) => change.body)) : body);
    for (const { begin } of changes) begin(sending);
  }
});
// The browser may show it again as it was.
globalThis.addEventListener?.("pageshow", () => (isLeft = false));

// Resolves when all is answered that was asked for here and may change something, and what followed those answers.
export async function allAnswered() {
  while (asking.size > 0) await Promise.allSettled([...asking].map(({ answer }) => answer));
}

async function request(method, path, body) {
  let response;
  let answer;
  const payload = body === undefined ? undefined : JSON.stringify(body);
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: payload,
      // A change is made also when the page is left before its answer.
      keepalive: method !== "GET" && (payload?.length ?? 0) <= LONGEST_KEPT_ALIVE,
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
