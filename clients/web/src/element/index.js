// <service-notices>: listens to a client, lets present() decide what to show, and draws that. Its types are in index.d.ts.

import { AvailabilityClient } from "../index.js";
import { element, makeBoard } from "./board.js";
import { makeDismissals } from "./dismissals.js";
import { present } from "./present.js";
import { follow } from "./story.js";
import { style } from "./style.js";
import { add, added, load, makeWords } from "./words.js";

const TICK_MS = 1_000; // one timer for all that grows old, while there is anything
const LINGER_MS = 3_000;
const HEARING_MS = 100; // a region must be known before it is filled
const HEARD_MS = 10_000;

const sheet = new CSSStyleSheet();
sheet.replaceSync(style);

export class ServiceNotices extends HTMLElement {
  static observedAttributes = ["src", "lang", "mode", "services", "sending"];
  /** Adds a language, or texts to one: an object of texts, or a function that imports one. */
  static texts = add;

  #notices = makeNotices(this);

  /** What it listens to: a client of the application's own, or else one that it makes of ``src``. */
  get client() {
    return this.#notices.client();
  }

  set client(client) {
    this.#notices.listen(client);
  }

  connectedCallback() {
    if (Object.hasOwn(this, "client")) {
      const { client } = this; // set before this class was there
      delete this.client;
      this.client = client;
    }
    this.#notices.listen();
  }

  disconnectedCallback() {
    queueMicrotask(this.#notices.listen); // it may only have been moved
  }

  attributeChangedCallback() {
    this.#notices.listen();
  }
}

function makeNotices(host) {
  const board = makeBoard(act);
  const [status, alert] = ["status", "alert"].map((role) => element("p", { role, "aria-atomic": "false" }));
  const root = host.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [sheet];
  root.append(board.node, status, alert);

  let given; // a client of the application's own
  let source = null; // that, or the address for one of its own
  let client = null;
  let hearing = new AbortController();
  let dismissals;
  let story;
  let said;
  let skew = 0;
  let heldUntil = 0;
  let words;
  let language;
  let lines = [];
  let timer;

  function listen(to = given) {
    given = to;
    const wanted = host.isConnected ? (given ?? host.getAttribute("src")) : null;
    if (wanted !== source) {
      source = wanted;
      hearing.abort(); // and with it ends a client of its own
      hearing = new AbortController();
      story = new Map();
      said = new Map();
      const { signal } = hearing;
      const isOwn = typeof wanted === "string";
      client = isOwn ? new AvailabilityClient(wanted, { signal, locale: nearest() }) : wanted;
      const on = (type, listener) => client?.addEventListener(type, listener, { signal });
      on("change", render);
      on("notice", ({ detail }) => said.set(detail.service?.name, detail));
      on("welcome", ({ detail }) => {
        skew = client.isLeading ? Date.parse(detail.at) - Date.now() : 0; // another tab may have had it long ago
      });
      dismissals = makeDismissals(`service-notices ${client?.url}`);
      if (isOwn) {
        client.connect().catch(() => {}); // that it ended is shown, too
      }
    }
    render();
  }

  // The language that this is to be in.
  function nearest() {
    return (host.closest("[lang]") ?? document.documentElement).lang || navigator.language;
  }

  async function speak() {
    const tag = nearest();
    const wanted = `${tag} ${added}`;
    if (wanted !== language) {
      language = wanted;
      const loaded = await load(tag).catch(() => makeWords()); // what cannot be loaded, or is no language, is English
      if (wanted === language) {
        words = loaded;
        render();
      }
    }
  }

  function render() {
    clearTimeout(timer);
    if (client) {
      speak();
      if (words && !document.hidden) {
        show(Date.now());
      }
      if (story.size || document.hidden) {
        timer = setTimeout(render, TICK_MS);
      }
    }
  }

  function show(now) {
    const only = host.getAttribute("services")?.match(/\S+/g);
    const services = [...client.services.values()].filter(({ name }) => !only || only.includes(name));
    const state = { client, services, said, skew, sending: host.getAttribute("sending") };
    if (board.isHeld()) {
      heldUntil = now + LINGER_MS; // nothing folds away under the pointer or the focus, nor at once when they have left
    }
    story = state.story = follow(story, state, now, heldUntil);
    const shown = present(state, { words, mode: host.getAttribute("mode"), dismissed: dismissals.all() }, now);
    for (const node of root.children) {
      node.dir = words.say("dir");
      node.lang = words.locale;
    }
    board.draw(shown, words);
    tell(shown);
  }

  function act(what, line) {
    if (what === "reload") {
      location.reload();
    } else if (what === "retry") {
      client.reconnect?.();
    } else if (line.kind === "recovered") {
      story.get(line.key).isFolded = true;
    } else {
      dismissals.add(line.key, line.rank, Date.now());
    }
    render();
  }

  // Notices are drawn outside of any live region, as their times change. What is new is said once, in regions that were there
  // empty before and are empty again afterwards.
  function tell(now) {
    const known = new Map(lines.map((line) => [line.key, line]));
    alert.hidden = !now.some(({ isBlocked }) => isBlocked);
    lines = now;
    for (const line of now) {
      const { key, kind, label, headline, details, sending, isBlocked } = line;
      const before = known.get(key) ?? report("shown", line) ?? {};
      const isNew = before.kind !== kind || before.headline !== headline;
      const news = isNew ? [label, headline, ...details, sending] : [before.sending !== sending && sending];
      const text = news.filter(Boolean).join(" ");
      if (text) {
        const said = element("span", {}, text, " ");
        setTimeout(() => (isBlocked ? alert : status).append(said), HEARING_MS);
        setTimeout(() => said.remove(), HEARD_MS);
      }
      known.delete(key);
    }
    known.forEach((line) => report("hidden", line));
  }

  function report(what, detail) {
    host.dispatchEvent(new CustomEvent(`service-notices-${what}`, { bubbles: true, composed: true, detail }));
  }

  return { listen, client: () => client };
}

customElements.define("service-notices", ServiceNotices);
