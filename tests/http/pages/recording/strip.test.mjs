// The strip that records, on as much of a page as it needs: run by test_recording_programs.py, in Node.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

class Part extends EventTarget {
  dataset = {};
  classList = { toggle() {} };
  children = [];

  append(...children) {
    this.children.push(...children);
  }

  setAttribute(name, value) {
    this[name] = value;
  }

  toggleAttribute(name, isOn) {
    this[name] = isOn;
  }

  get textContent() {
    return this.children.map((child) => child.textContent ?? child).join("");
  }

  set textContent(words) {
    this.children = [words];
  }

  get all() {
    return [this, ...this.children.flatMap((child) => child.all ?? [])];
  }

  querySelectorAll() {
    return [];
  }
}

globalThis.document = { createElement: () => new Part(), activeElement: null };
const { RecordingStrip } = await import(new URL("panels/recording_strip.js", pathToFileURL(`${process.argv[2]}/`)));

function made() {
  const host = new Part();
  const strip = new RecordingStrip(host, {});
  strip.show();
  const find = (look) => host.all.find(look);
  return { strip, find, close: find(({ textContent }) => textContent === "Close"), fault: find(({ role }) => role === "alert") };
}

test("what is recorded, or not taken by the studio, cannot be closed", () => {
  const { strip, close } = made();
  const canClose = {};
  for (const state of ["explaining", "opening", "armed", "starting", "recording", "stopping", "saving", "failed"]) {
    strip.draw(state);
    canClose[state] = !close.disabled;
  }
  const open = { explaining: true, opening: true, armed: true };
  assert.deepEqual(canClose, { ...open, starting: false, recording: false, stopping: false, saving: false, failed: false });
});

test("what goes wrong besides is told beside it, and no longer than that", () => {
  const { strip, fault } = made();
  strip.tell("Saving…", "It is full.");
  strip.failToo("It is gone.");
  assert.deepEqual([fault.textContent, fault.hidden], ["It is full. It is gone.", false]);
  strip.tell("Saved.");
  assert.deepEqual([fault.textContent, fault.hidden], ["", true]);
  strip.failToo("It is gone.");
  assert.deepEqual([fault.textContent, fault.hidden], ["It is gone.", false]);
});

test("who has other headphones than those that were measured is told, as long as that is so", () => {
  const { strip, find } = made();
  const told = (timing) => {
    strip.setTiming({ measured_s: 0.21, estimated_s: 0.2, nudge_s: 0, ...timing });
    return find(({ textContent, hidden }) => /^The headphones or loudspeakers are not those/.test(textContent) && !hidden) !== undefined;
  };
  const shows = (words) => find(({ textContent }) => textContent.startsWith(`Your sound arrives ${words}`)) !== undefined;
  assert.equal(told({ isOther: true }), true);
  assert.ok(shows("210 ms late, estimated from what was measured with others. Measure it again."));
  assert.equal(told({ isOther: false }), false);
  assert.ok(shows("210 ms late, measured on this device."));
  assert.equal(told({ measured_s: null, isOther: false }), false);
  assert.ok(shows("200 ms late, estimated. Measure it once for each microphone."));
});
