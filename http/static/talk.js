// What is said in the room. One's own messages are shown at once, and settled by `ack` or `error`.

import { Log, sending, sent, unsent } from "./log.js";

const NO_CONNECTION = "There is no connection now.";

export class Talk {
  #log;
  #field;
  #me;
  #send;
  #unacknowledged = new Map();
  #lastId = 0;

  // `me()` is `{ memberId, name }`; `send(message)` says whether it was sent, and `isConnected()` whether it could be.
  constructor(box, composer, { me, send, isConnected }) {
    this.#log = new Log(box);
    this.#field = composer.querySelector("textarea");
    this.#me = me;
    this.#send = send;
    composer.addEventListener("submit", (event) => {
      event.preventDefault();
      // While there is no connection the text stays where it is.
      if (isConnected()) this.#say();
    });
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      composer.requestSubmit();
    });
  }

  focus() {
    this.#field.focus();
  }

  clear() {
    this.#log.clear();
  }

  event(words) {
    this.#log.event(words);
  }

  heard(memberId, name, text) {
    this.#log.message(memberId, name, text);
  }

  acknowledged(id) {
    const message = this.#unacknowledged.get(id);
    if (!message) return;
    this.#unacknowledged.delete(id);
    sent(message.entry);
  }

  // Whether the refusal was about something said here.
  refused(id, words) {
    if (!this.#unacknowledged.has(id)) return false;
    this.#fail(id, words);
    return true;
  }

  // Nobody will say any more what became of them.
  failAll(words) {
    for (const id of [...this.#unacknowledged.keys()]) this.#fail(id, words);
  }

  #say() {
    const text = this.#field.value.trim();
    if (!text) return;
    this.#field.value = "";
    this.focus();
    const { memberId, name } = this.#me();
    this.#deliver(this.#log.message(memberId, name, text), text);
  }

  #deliver(entry, text) {
    const id = `${this.#me().memberId}-${(this.#lastId += 1)}`;
    sending(entry);
    this.#unacknowledged.set(id, { entry, text });
    if (!this.#send({ type: "chat", payload: { text }, id })) this.#fail(id, NO_CONNECTION);
  }

  #fail(id, words) {
    const { entry, text } = this.#unacknowledged.get(id);
    this.#unacknowledged.delete(id);
    unsent(entry, words, () => this.#deliver(entry, text));
  }
}
