// Signing in: a name and a room, and, while nobody can, why, and when it is tried again.

import { countdown } from "../words.js";
import { find, setText } from "./elements.js";

export class Entrance {
  #form = find("entrance-form");
  #name = find("name");
  #room = find("room");
  #reason = find("entrance-reason");
  #words = find("entrance-words");
  #countdown = find("entrance-countdown");
  #button = find("enter");
  #ticking = 0;

  /** ``enter(name, room)`` is called for every attempt of a person. */
  constructor(enter) {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#name.value.trim()) {
        enter(this.#name.value.trim(), this.#room.value.trim() || "lobby");
      }
    });
  }

  open({ name, room }) {
    this.#name.value = name;
    this.#room.value = room;
    (name ? this.#button : this.#name).focus();
  }

  busy() {
    clearInterval(this.#ticking);
    setText(this.#countdown, "Signing in");
  }

  /** ``level`` is "down" or "wrong"; ``until`` is when it is tried again by itself, in milliseconds, or null. */
  say(level, words, until = null) {
    clearInterval(this.#ticking);
    this.#reason.dataset.level = level;
    this.#reason.classList.toggle("empty", words === "");
    setText(this.#words, words);
    const tick = () => setText(this.#countdown, until === null ? "" : countdown(until));
    tick();
    if (until !== null) {
      this.#ticking = setInterval(tick, 500);
    }
    setText(this.#button, until === null ? "Join the chat" : "Try now");
  }
}
