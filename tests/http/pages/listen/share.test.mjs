// The dialog of the links to a mixdown, with a studio that answers when it is told to: run by test_share_dialog.py, in Node
// and without a page.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const { ShareDialog } = await import(new URL("panels/share.js", folder));

// An element of the page: what is looked for in it is there, and always the same.
class Part extends EventTarget {
  textContent = "";
  value = "";
  hidden = false;
  children = [];
  classes = new Set();
  classList = { contains: (name) => this.classes.has(name), toggle: (name, isOn) => this.classes[isOn ? "add" : "delete"](name) };
  elements = { download: { checked: false }, comments: { checked: true }, days: { value: "7" } };
  #parts = new Map();

  querySelector(selector) {
    if (!this.#parts.has(selector)) this.#parts.set(selector, new Part());
    return this.#parts.get(selector);
  }

  append(...children) {
    this.children.push(...children);
  }

  replaceChildren(...children) {
    this.children = children;
  }

  setAttribute() {}
  focus() {}
  select() {}
  showModal() {}
  close() {}
}

const asked = [];
const shares = [];
let dialog = null;
const template = { content: { firstElementChild: { cloneNode: () => (dialog = new Part()) } } };

function provide(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

provide("document", { getElementById: () => template, createElement: () => new Part(), body: new Part() });
provide("navigator", {});
provide("fetch", (path, { method }) => {
  if (method === "GET") return Promise.resolve(Response.json({ shares }));
  return new Promise((resolve) => asked.push({ path, method, answer: (content, status = 200) => resolve(Response.json(content, { status })) }));
});

const later = setTimeout;

async function becomes(look, what) {
  for (let turns = 0; turns < 2_000; turns += 1) {
    if (look()) return;
    await new Promise((resolve) => later(resolve));
  }
  assert.fail(`it never became so: ${what}`);
}

async function settled() {
  for (let turns = 0; turns < 50; turns += 1) await new Promise((resolve) => later(resolve));
}

const show = (name) => dialog.querySelector(`[data-show="${name}"]`);
const link = () => dialog.querySelector("input[readonly]").value;
const made = () => show("make").dispatchEvent(new Event("submit", { cancelable: true }));
const SHARE = { id: "s", url: "http://studio.test/listen/one", expiresAt: "2026-12-05T00:00:00Z" };

// What nobody answers, the next one would wait for.
afterEach(async () => {
  shares.splice(0);
  for (const { answer } of asked.splice(0)) answer({});
  await settled();
});

// The dialog of one mixdown, in which a link is being made.
async function making() {
  const share = new ShareDialog({ mayChange: true, lost: () => false });
  await share.open({ exportId: "one", fileName: "one.wav" });
  made();
  await becomes(() => asked.length === 1, "a link is asked for");
  assert.deepEqual([asked[0].method, asked[0].path], ["POST", "/api/export/one/shares"]);
  return share;
}

test("a link is shown under the name of its mixdown", async () => {
  await making();
  asked[0].answer(SHARE);
  await becomes(() => link() !== "", "the link is shown");
  assert.deepEqual([show("name").textContent, link(), show("link").hidden], ["one.wav", SHARE.url, false]);
});

test("a link that comes when another mixdown is shown is not shown as its", async () => {
  const share = await making();
  await share.open({ exportId: "two", fileName: "two.wav" });
  asked[0].answer(SHARE);
  await settled();
  assert.deepEqual([show("name").textContent, link(), show("link").hidden, show("news").textContent], ["two.wav", "", true, ""]);
});

test("neither is a refusal", async () => {
  const share = await making();
  await share.open({ exportId: "two", fileName: "two.wav" });
  asked[0].answer({ error: "Too many links.", code: "too_many" }, 409);
  await settled();
  assert.deepEqual([show("problem").textContent, show("problem").hidden], ["", true]);
});

test("a second press while a link is being made makes no second one", async () => {
  const share = await making();
  made();
  await share.open({ exportId: "two", fileName: "two.wav" });
  made();
  await share.open({ exportId: "one", fileName: "one.wav" });
  made();
  await settled();
  assert.deepEqual(asked.map(({ path }) => path), ["/api/export/one/shares", "/api/export/two/shares"]);
  asked[0].answer(SHARE);
  await becomes(() => link() !== "", "the link is shown");
  await settled();
  made();
  await becomes(() => asked.length === 3, "after the first one, a second is made");
});

test("a box shows what the studio has of it, also when it was pressed again before the answer", async () => {
  const share = new ShareDialog({ mayChange: true, lost: () => false });
  const made = { ...SHARE, url: undefined, createdAt: "2026-12-01T00:00:00Z", download: false, comments: true, plays: 0 };
  shares.push(made);
  await share.open({ exportId: "one", fileName: "one.wav" });
  const line = show("list").children[0];
  const [box] = line.children.flatMap(({ children }) => children).flatMap(({ children }) => children).filter(({ type }) => type === "checkbox");
  const press = (isOn) => {
    box.checked = isOn;
    box.dispatchEvent(new Event("change"));
  };
  press(true);
  press(false);
  await settled();
  assert.equal(asked.length, 1, "one after the other");
  asked[0].answer({ error: "Not now.", code: "unavailable" }, 503);
  await becomes(() => asked.length === 2, "what was pressed last is asked for, too");
  asked[1].answer({ share: made });
  await settled();
  assert.equal(box.checked, false);
  press(true);
  await becomes(() => asked.length === 3, "it is pressed again");
  asked[2].answer({ error: "Not now.", code: "unavailable" }, 503);
  await becomes(() => !box.checked, "a refusal puts it back");
});

test("a refusal is told where it was asked", async () => {
  await making();
  asked[0].answer({ error: "Too many links.", code: "too_many" }, 409);
  await becomes(() => show("problem").textContent !== "", "it is told");
  assert.deepEqual([show("problem").textContent, show("problem").hidden], ["Too many links.", false]);
});
