// <service-notices>: listens to a client, lets present() decide what to show, and draws that. Its types are in index.d.ts.

import { AvailabilityClient } from "../index.js";
import { element, makeBoard } from "./board.js";
import { Dismissals } from "./dismissals.js";
import { present } from "./present.js";
import { follow, look } from "./story.js";
import { style } from "./style.js";
import { add, load } from "./words.js";

const TICK_MS = 1_000; // one timer for all that grows old, while there is anything
const LINGER_MS = 3_000;
const HEARING_MS = 100; // a region must be known before it is filled
const HEARD_MS = 10_000;
const TEXTS = "service-notices-texts";

const sheet = new CSSStyleSheet();
sheet.replaceSync(style);

export class ServiceNotices extends HTMLElement {
  static observedAttributes = ["src", "lang", "mode", "services", "sending"];

  #given = null; // a client of the application's own
  #wanted = null; // that, or the address of the element's own
  #own = null;
  #client = null;
  #hearing = new AbortController(); // of the client
  #listening; // to the page
  #dismissals;
  #story = new Map();
  #said = new Map();
  #skew = 0;
  #heldUntil = 0;
  #words = null;
  #tag = "";
  #lines = [];
  #timer = 0;
  #isOpen = false;
  #board = makeBoard(
    (what, line) => this.#act(what, line),
    () => this.#hold(),
  );
  #status = element("p", "", { role: "status", "aria-atomic": "false" });
  #alert = element("p", "", { role: "alert", "aria-atomic": "false", hidden: "" });

  /** Adds a language, or texts to one: an object of texts, or a function that imports one. */
  static texts(locale, catalogue) {
    add(locale, catalogue);
    dispatchEvent(new Event(TEXTS));
  }

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    root.append(this.#board.node, this.#status, this.#alert);
  }

  /** What it listens to: a client of the application's own, or else one that it makes of ``src``. */
  get client() {
    return this.#client;
  }

  set client(client) {
    this.#given = client;
    this.#attach();
  }

  connectedCallback() {
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    document.addEventListener("visibilitychange", () => this.#render(), { signal });
    addEventListener("storage", () => this.#render(), { signal });
    addEventListener(TEXTS, () => this.#render((this.#tag = "")), { signal });
    if (Object.hasOwn(this, "client")) {
      this.#given = this.client; // set before this class was there
      delete this.client;
    }
    this.#attach();
    this.#render();
  }

  disconnectedCallback() {
    this.#listening.abort();
    queueMicrotask(() => this.isConnected || this.#attach()); // it may only have been moved
  }

  attributeChangedCallback(name) {
    if (name === "src") {
      this.#attach();
    }
    this.#render();
  }

  // Listens to what it is to listen to, if that is not what it listens to.
  #attach() {
    const wanted = this.isConnected ? (this.#given ?? this.getAttribute("src")) : null;
    if (wanted === this.#wanted) {
      return;
    }
    this.#wanted = wanted;
    this.#hearing.abort();
    this.#own?.close();
    this.#own = typeof wanted === "string" ? new AvailabilityClient(wanted, { locale: this.#language() }) : null;
    this.#client = this.#own ?? wanted;
    this.#story = new Map();
    this.#said.clear();
    if (wanted) {
      this.#hear(this.#client);
      this.#own?.connect().catch(() => {}); // that it ended is shown, too
    }
    this.#render();
  }

  #hear(client) {
    this.#hearing = new AbortController();
    const { signal } = this.#hearing;
    const on = (type, listener) => client.addEventListener(type, listener, { signal });
    on("change", () => this.#render());
    on("notice", ({ detail }) => detail.service && this.#said.set(detail.service.name, detail));
    for (const type of ["welcome", "waiting", "snapshot"]) {
      on(type, ({ detail }) => {
        this.#skew = Date.parse(detail?.at) - Date.now() || 0;
      });
    }
    this.#dismissals = new Dismissals(`service-notices ${client.url}`);
  }

  #language() {
    let tag = "";
    for (let each = this; each && !tag; each = each.getRootNode().host) {
      tag = each.closest("[lang]")?.lang;
    }
    return tag || navigator.language;
  }

  async #speak() {
    const tag = this.#language();
    if (tag !== this.#tag) {
      this.#tag = tag;
      const words = await load(tag);
      if (tag === this.#tag) {
        this.#words = words;
        this.#render();
      }
    }
  }

  #render() {
    clearTimeout(this.#timer);
    this.#speak();
    if (!this.#client || !this.#words || document.hidden) {
      return;
    }
    const now = Date.now();
    const sending = this.getAttribute("sending");
    const only = this.getAttribute("services")?.match(/\S+/g) ?? [];
    const state = look(this.#client, { said: this.#said, skew: this.#skew, sending, only });
    this.#story = state.story = follow(this.#story, state, now, this.#heldUntil);
    const { focused } = this.#board;
    const dismissed = this.#dismissals.all;
    const options = { words: this.#words, mode: this.getAttribute("mode"), isOpen: this.#isOpen, focused, dismissed };
    const view = present(state, options, now);
    for (const node of this.shadowRoot.children) {
      node.dir = this.#words.dir;
      node.lang = this.#words.locale;
    }
    this.#board.draw(view, options);
    this.#isOpen &&= view.more !== "";
    this.#tell(this.#lines, view.lines);
    if (this.#story.size) {
      this.#timer = setTimeout(() => this.#render(), TICK_MS);
    }
  }

  #act(what, line) {
    if (what === "reload") {
      location.reload();
    } else if (what === "retry") {
      this.#client.reconnect?.();
    } else if (what === "more") {
      this.#isOpen = !this.#isOpen;
    } else if (line.kind === "recovered") {
      this.#story.get(line.key).isFolded = true;
    } else {
      this.#dismissals.add(line.key, line.rank, Date.now());
    }
    this.#render();
  }

  // Nothing folds away under the pointer or the focus, and not at once when they have left.
  #hold() {
    queueMicrotask(() => {
      this.#heldUntil = this.#board.isHeld ? Infinity : Date.now() + LINGER_MS;
      this.#render();
    });
  }

  // Notices are drawn outside of any live region, as their times change. What is new is said once, in regions that were there
  // empty before and are empty again afterwards.
  #tell(before, lines) {
    this.#lines = lines;
    this.#alert.hidden = !lines.some(({ isBlocked }) => isBlocked);
    for (const { key, kind, label, headline, details, sending, isBlocked } of lines) {
      const known = before.find((each) => each.key === key);
      const isNew = known?.kind !== kind || known.headline.text !== headline.text;
      const news = isNew ? [label, headline.text, ...details.map(({ text }) => text), sending] : [known.sending !== sending && sending];
      const said = new Text(`${news.filter(Boolean).join(" ")} `);
      if (said.data !== " ") {
        setTimeout(() => (isBlocked ? this.#alert : this.#status).append(said), HEARING_MS);
        setTimeout(() => said.remove(), HEARD_MS);
      }
    }
    this.#report("hidden", before, lines);
    this.#report("shown", lines, before);
  }

  #report(name, lines, others) {
    for (const { key, incident, kind, services } of lines) {
      if (!others.some((each) => each.key === key)) {
        const detail = { incident, kind, services };
        this.dispatchEvent(new CustomEvent(`service-notices-${name}`, { bubbles: true, composed: true, detail }));
      }
    }
  }
}

customElements.define("service-notices", ServiceNotices);
