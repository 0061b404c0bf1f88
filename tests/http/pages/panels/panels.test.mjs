// Small parts of the panels, with a studio that answers when it is told to: run by test_panels.py, in Node and without a page.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const [{ Invites }, { Unread }, { sendsByEnter }, { twice }] = await Promise.all(
  ["panels/invites.js", "panels/unread.js", "controls/entering.js", "controls/twice.js"].map((name) => import(new URL(name, folder))),
);

// An element of the page: what is looked for in it is there, and always the same.
class Part extends EventTarget {
  textContent = "";
  value = "";
  hidden = false;
  disabled = false;
  elements = [];
  attributes = {};
  classList = { toggle() {} };
  #parts = new Map();

  querySelector(selector) {
    if (!this.#parts.has(selector)) this.#parts.set(selector, new Part());
    return this.#parts.get(selector);
  }

  setAttribute(name, value) {
    this.attributes[name] = value;
  }

  append() {}
  replaceChildren() {}
  focus() {}
  select() {}
}

let page = new Part();
const asked = [];

function provide(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

provide("document", Object.assign(new EventTarget(), {
  visibilityState: "visible",
  getElementById: (id) => page.querySelector(id),
  createElement: () => new Part(),
}));
provide("addEventListener", () => {});
provide("setInterval", () => 0);

const later = setTimeout;

async function settled() {
  for (let turns = 0; turns < 50; turns += 1) await new Promise((resolve) => later(resolve));
}

beforeEach(() => {
  page = new Part();
  asked.splice(0);
});

// --- invites ---------------------------------------------------------------------------------------------------------

test("a second press while an invite is being made makes no second one, and none for another role", async () => {
  provide("fetch", (path, { method }) => {
    if (method === "GET") return Promise.resolve(Response.json({ invites: [] }));
    return new Promise((resolve) => asked.push((content, status = 200) => resolve(Response.json(content, { status }))));
  });
  page.querySelector("invite-role").querySelector(":checked").value = "editor";
  const press = () => page.querySelector("invite-make").dispatchEvent(new Event("click"));
  new Invites("/api/sessions/jam", () => {});
  press();
  press();
  await settled();
  assert.equal(asked.length, 1);
  assert.equal(page.querySelector("invite-role").disabled, true);
  asked[0]({ error: "Not now.", code: "unavailable" }, 503);
  await settled();
  assert.equal(page.querySelector("invite-role").disabled, false);
  press();
  await settled();
  assert.equal(asked.length, 2);
  asked[1]({ url: "http://studio.test/invites/one", id: "one", expiresAt: "2026-12-05T00:00:00Z" });
  await settled();
  assert.equal(page.querySelector("invite-url").value, "http://studio.test/invites/one");
});

// --- what is new -----------------------------------------------------------------------------------------------------

const AT = (minute) => new Date(Date.UTC(2026, 10, 28, 12, minute)).toISOString();

// So many rows of each kind, the newest first, of which the page gets no more than it asks for.
function answersWith(rows) {
  provide("fetch", (path, { method }) => {
    if (method === "POST") return Promise.resolve(Response.json({ previouslySeenAt: AT(0), seenAt: AT(200) }));
    const { pathname, searchParams } = new URL(path, "http://studio.test");
    const name = { messages: "messages", comments: "comments", activity: "events" }[pathname.split("/").pop()];
    return Promise.resolve(Response.json({ [name]: (rows[name] ?? []).slice(0, Number(searchParams.get("limit"))) }));
  });
}

test("all is counted that is new, not only the first page of it", async () => {
  const messages = Array.from({ length: 73 }, (_, place) => ({ at: AT(100 - place), from: "bo", type: "chat" }));
  answersWith({ messages });
  assert.deepEqual(await new Unread("jam", "me").count(), { talk: 73, comments: 0, activity: 0 });
});

test("what was seen, what is mine and what was removed is not new", async () => {
  const comment = (minute, id, text = "Late.") => ({ createdAt: AT(minute), author: { id }, text });
  const comments = [comment(9, "bo"), comment(8, "me"), comment(7, "bo", null), comment(-1, "bo")];
  const messages = [{ at: AT(5), from: "bo", type: "chat" }, { at: AT(4), from: "bot", type: "cue" }, { at: AT(-1), from: "bo", type: "chat" }];
  answersWith({ comments, messages, events: [{ at: AT(5), actor: { id: "me" } }] });
  assert.deepEqual(await new Unread("jam", "me").count(), { talk: 1, comments: 1, activity: 0 });
});

// --- keys and presses ------------------------------------------------------------------------------------------------

test("Enter sends once, and not while a conversion is made", () => {
  const field = new Part();
  let sent = 0;
  field.form = { requestSubmit: () => (sent += 1) };
  sendsByEnter(field);
  const press = (about) => {
    const event = Object.assign(new Event("keydown", { cancelable: true }), { key: "Enter", keyCode: 13, ...about });
    field.dispatchEvent(event);
    return [sent, event.defaultPrevented];
  };
  assert.deepEqual(press({ isComposing: true, keyCode: 229 }), [0, false]);
  assert.deepEqual(press({ isComposing: false, keyCode: 229 }), [0, false], "the last one in Safari");
  assert.deepEqual(press({ shiftKey: true }), [0, false]);
  assert.deepEqual(press({ key: "a" }), [0, false]);
  assert.deepEqual(press({}), [1, true]);
  assert.deepEqual(press({ repeat: true }), [1, true], "no line either");
  assert.deepEqual(press({}), [2, true]);
});

test("a button for what cannot be taken back is pressed twice, in other words, and says of whom", async () => {
  let acts = 0;
  let done = null;
  const button = twice("Remove", "Remove for good", "Bo", () => {
    acts += 1;
    return new Promise((resolve) => (done = resolve));
  });
  const names = () => [button.textContent, button.attributes["aria-label"]];
  const click = (detail) => button.dispatchEvent(Object.assign(new Event("click"), { detail }));
  assert.deepEqual(names(), ["Remove", "Remove: Bo"]);
  click(1);
  assert.deepEqual(names(), ["Remove for good", "Remove for good: Bo"]);
  click(2);
  assert.equal(acts, 0, "a double click is one press");
  const held = Object.assign(new Event("keydown", { cancelable: true }), { key: "Enter", repeat: true });
  button.dispatchEvent(held);
  assert.equal(held.defaultPrevented, true, "so is a key that is held down");
  button.dispatchEvent(new Event("blur"));
  assert.deepEqual(names(), ["Remove", "Remove: Bo"]);
  click(1);
  click(1);
  click(1);
  assert.equal(acts, 1, "not again while it is being done");
  done();
  await settled();
  click(0);
  assert.equal(acts, 2, "it was refused, and is tried again");
});
