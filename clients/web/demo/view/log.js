// The conversation: entries in order, by day and by who speaks, and the end of it in sight unless somebody reads above.

import { day, historyWords } from "../words.js";
import { element, find, setText } from "./elements.js";
import { entryView } from "./entries.js";

const TOGETHER_SECONDS = 300;
const NEAR_END = 80; // CSS pixels

export class Log {
  #on;
  #scroller = find("scroller");
  #list = find("entries");
  #history = find("history");
  #empty = find("empty");
  #latest = find("latest");
  #rows = new Map();
  #isAtEnd = true;

  /** ``on`` has ``again(entry)`` and ``ask(question)``. */
  constructor(on) {
    this.#on = on;
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#latest.addEventListener("click", () => this.toEnd());
    // Whatever grows (a line of the notices, the writing field), the end stays in sight.
    const sizes = new ResizeObserver(() => this.#isAtEnd && this.toEnd());
    sizes.observe(this.#scroller);
    sizes.observe(find("said"));
  }

  clear() {
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#isAtEnd = true;
  }

  toEnd() {
    this.#isAtEnd = true;
    this.#latest.hidden = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  show(entries, history) {
    find("log").setAttribute("aria-busy", String(history === "loading")); // many at once are not read out
    setText(this.#history, historyWords(history, entries.length === 0));
    this.#history.hidden = this.#history.textContent === "";
    this.#empty.hidden = entries.length > 0 || history === "loading";
    const wanted = new Set(entries.map(({ key }) => key));
    for (const [key, row] of this.#rows) {
      if (!wanted.has(key)) {
        row.node.remove();
        this.#rows.delete(key);
      }
    }
    let isLonger = false;
    entries.forEach((entry, index) => {
      const before = entries[index - 1];
      isLonger = this.#showRow(entry, before, this.#list.children[index] ?? null) || isLonger;
    });
    if (this.#isAtEnd) {
      this.toEnd();
    } else if (isLonger) {
      this.#latest.hidden = false;
    }
  }

  #showRow(entry, before, place) {
    const at = entry.at < Infinity ? entry.at : Date.now() / 1000;
    const today = day(at);
    const isNewDay = before === undefined || (before.at < Infinity && day(before.at) !== today);
    const goesOn = !isNewDay && isTogether(before, entry, at);
    const known = this.#rows.get(entry.key);
    const row = known ?? this.#addRow(entry);
    row.node.classList.toggle("goes-on", goesOn);
    row.day.hidden = !isNewDay;
    setText(row.day, isNewDay ? today : "");
    if (row.version !== entry.version) {
      row.version = entry.version;
      row.view.update(entry);
    }
    if (row.node !== place) {
      this.#list.insertBefore(row.node, place);
    }
    return known === undefined;
  }

  #addRow(entry) {
    const view = entryView(entry, this.#on);
    const label = element("p", "day");
    const row = { node: element("li", "entry", label, view.node), day: label, view, version: entry.version };
    this.#rows.set(entry.key, row);
    return row;
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    if (this.#isAtEnd) {
      this.#latest.hidden = true;
    }
  }
}

function isTogether(one, other, at) {
  const isSame = one.kind === "message" && other.kind === "message" && one.author === other.author;
  return isSame && (one.at === Infinity || at - one.at < TOGETHER_SECONDS);
}
