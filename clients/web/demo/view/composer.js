// Where messages are written. Whatever happens, what was written stays until it is sent.

import { find, icon, setText } from "./elements.js";

const ASSISTANT = "@assistant ";
const ICONS = { ok: "", queued: "clock", blocked: "alert" };
const HAS_KEYS = matchMedia("(hover: hover)"); // else Enter begins a new line, as it does on a phone
const HINT = "Enter sends, Shift and Enter begin a new line.";

export class Composer {
  #on;
  #form = find("composer");
  #field = find("field");
  #send = find("send");
  #ask = find("ask");
  #hint = find("hint");
  #hintIcon = find("hint-icon");
  #mode = "";

  /** ``on`` has ``say(text)``, which is false where it cannot be sent, and ``draft(text)``. */
  constructor(on) {
    this.#on = on;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#say();
    });
    this.#field.addEventListener("keydown", (event) => {
      const isPlain = !event.shiftKey && !event.isComposing && HAS_KEYS.matches;
      if (event.key === "Enter" && isPlain) {
        event.preventDefault();
        this.#say();
      }
    });
    this.#field.addEventListener("input", () => this.#changed());
    this.#ask.addEventListener("click", () => {
      this.#address(!this.#isAddressed);
      this.#field.focus();
    });
  }

  get draft() {
    return this.#field.value;
  }

  set draft(text) {
    this.#field.value = text;
    this.#changed();
  }

  focus() {
    this.#field.focus();
  }

  /** Begins a message, unless there is one already. */
  suggest(text) {
    if (this.draft.trim() === "" || this.draft.trim() === ASSISTANT.trim()) {
      this.draft = text;
    }
    this.focus();
  }

  show({ mode, reason }) {
    setText(this.#hint, reason || (HAS_KEYS.matches ? HINT : ""));
    if (mode !== this.#mode) {
      this.#mode = mode;
      this.#form.dataset.mode = mode;
      this.#hintIcon.replaceChildren(...(ICONS[mode] ? [icon(ICONS[mode])] : []));
      // It stays where the focus finds it, and says why it does nothing.
      this.#send.setAttribute("aria-disabled", String(mode === "blocked"));
    }
  }

  get #isAddressed() {
    return this.draft.startsWith(ASSISTANT);
  }

  #address(isAddressed) {
    const text = this.#isAddressed ? this.draft.slice(ASSISTANT.length) : this.draft;
    this.draft = isAddressed ? ASSISTANT + text : text;
  }

  #say() {
    const text = this.draft.trim();
    if (text === "" || text === ASSISTANT.trim()) {
      return;
    }
    if (this.#on.say(text)) {
      this.draft = "";
    } else {
      this.#form.classList.remove("shake");
      void this.#form.offsetWidth; // begins the movement again
      this.#form.classList.add("shake");
    }
  }

  #changed() {
    this.#ask.setAttribute("aria-pressed", String(this.#isAddressed));
    this.#field.style.height = "";
    this.#field.style.height = `${this.#field.scrollHeight + 2}px`;
    this.#on.draft(this.draft);
  }
}
