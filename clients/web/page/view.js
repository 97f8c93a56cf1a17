// The page's elements. Everything the server said enters as text, never as markup.

import * as words from "./words.js";

const EVENTS_KEPT = 50;
const SVG = "http://www.w3.org/2000/svg";

const EVENT_ICONS = {
  up: "up",
  recovered: "up",
  degraded: "degraded",
  down: "down",
  unknown: "unknown",
  planned: "planned",
  feed: "link",
  link: "link",
};
const EVENT_WORDS = {
  up: "Up",
  recovered: "Recovered",
  degraded: "Degraded",
  down: "Down",
  unknown: "Not known",
  planned: "Planned work",
  feed: "Status feed",
  link: "This page",
};

const find = (id) => document.getElementById(id);

export class View {
  #rows = new Map();
  #times = new Set();
  #overall = find("overall");
  #headline = find("headline");
  #subline = find("subline");
  #freshness = find("freshness");
  #freshnessText = find("freshness-text");
  #retry = find("retry");
  #announcer = find("announcer");
  #events = find("events");

  // What the server made stays as it is, and goes on from here.
  constructor() {
    for (const kind of ["feature", "service"]) {
      for (const item of find(`${kind}s`).children) {
        this.#rows.set(`${kind} ${item.dataset.name}`, this.#adoptRow(item));
      }
    }
  }

  onRetry(callback) {
    this.#retry.addEventListener("click", callback);
  }

  showOverall({ level, headline, subline }) {
    if (this.#overall.dataset.level !== level) {
      this.#overall.dataset.level = level;
      this.#overall.querySelector("use").setAttribute("href", `#icon-${level}`);
    }
    setText(this.#headline, headline);
    setText(this.#subline, subline);
    const name = `${headline} – Service status`;
    if (document.title !== name) {
      document.title = name;
    }
  }

  // ``state`` is a feed state, or "pending" or "gone" for the page's own connection.
  showFreshness(state, text, { canRetry }) {
    this.#freshness.dataset.feed = state;
    setText(this.#freshnessText, text);
    this.#retry.classList.toggle("inert", !canRetry);
    this.#retry.disabled = !canRetry;
    this.#retry.tabIndex = canRetry ? 0 : -1;
  }

  // Whether what is shown is from the past.
  fade(isOld) {
    find("board").classList.toggle("old", isOld);
  }

  showBoard(replica) {
    this.#showRows(find("features"), "feature", [...replica.features.values()], (feature) => ({
      level: words.levelOf(feature.status),
      title: words.title(feature),
      detail: words.featureDetail(feature, replica.services),
      lang: feature.text ? feature.lang : "",
      word: words.statusWord(feature.status),
    }));
    this.#showRows(find("services"), "service", [...replica.services.values()], (service) => ({
      level: words.levelOf(service.status),
      title: words.title(service),
      detail: words.serviceDetail(service),
      word: words.statusWord(service.status),
      since: service.since,
    }));
    find("features-title").parentElement.hidden = replica.features.size === 0;
  }

  addEvent({ kind, title = "", at, text, lang, affects, before, local, incident = "" }) {
    const item = element("li", "event");
    item.dataset.incident = incident;
    item.toggleAttribute("data-found", before === true);
    item.dataset.level = EVENT_ICONS[kind] ?? "unknown";
    item.append(badge(EVENT_ICONS[kind] ?? "unknown"));
    const body = element("div", "event-body");
    const head = element("p", "event-head");
    const name = element("span", "event-title", title && `${title} `);
    name.append(element("span", "word", EVENT_WORDS[kind] ?? "Changed"));
    head.append(name, this.#time(at, words.ago));
    const sentence = element("p", "event-text", text);
    setLanguage(sentence, lang);
    body.append(head, sentence);
    const notes = affects.map((each) => `${each.title}: ${words.statusWord(each.status).toLowerCase()}`);
    if (before) {
      notes.push("Found when this page connected");
    }
    if (local) {
      notes.push("Seen by this server itself");
    }
    if (notes.length) {
      body.append(element("p", "event-notes", notes.join(" · ")));
    }
    item.append(body);
    this.#events.prepend(item);
    while (this.#events.children.length > EVENTS_KEPT) {
      this.#dropEvent(this.#events.lastElementChild);
    }
  }

  // Takes events off that these incidents tell of, and those that only say what was found when the page connected.
  dropEventsOf(incidents) {
    for (const item of [...this.#events.children]) {
      if (incidents.has(item.dataset.incident) || item.hasAttribute("data-found")) {
        this.#dropEvent(item);
      }
    }
  }

  #dropEvent(item) {
    this.#times.delete(item.querySelector("time"));
    item.remove();
  }

  announce(text) {
    this.#announcer.textContent = text;
  }

  // Relative times grow old; ``now`` is the server's clock, in milliseconds.
  tick(now) {
    for (const time of this.#times) {
      const at = Date.parse(time.dateTime);
      setText(time, Number.isNaN(at) ? "" : time.say((now - at) / 1000));
    }
  }

  #showRows(list, kind, views, describe) {
    const wanted = new Set(views.map((view) => `${kind} ${view.name}`));
    for (const [key, row] of this.#rows) {
      if (key.startsWith(`${kind} `) && !wanted.has(key)) {
        this.#dropRow(key, row);
      }
    }
    views.forEach((view, index) => {
      const key = `${kind} ${view.name}`;
      let row = this.#rows.get(key);
      if (row === undefined) {
        row = this.#makeRow(kind === "service");
        this.#rows.set(key, row);
      }
      if (list.children[index] !== row.item) {
        list.insertBefore(row.item, list.children[index] ?? null);
      }
      const { level, title, detail, lang, word, since } = describe(view);
      row.item.dataset.level = level;
      row.item.dataset.name = view.name;
      row.icon.setAttribute("href", `#icon-${level}`);
      setText(row.title, title);
      setText(row.detail, detail);
      setLanguage(row.detail, lang);
      setText(row.word, word);
      if (row.time) {
        setTime(row.time, since);
      }
    });
  }

  // Operators are shown services that the feed does not tell of: what the server made of them stays (see past.js).
  #dropRow(key, row) {
    this.#times.delete(row.time);
    this.#rows.delete(key);
    if (find("page").dataset.audience === "operators") {
      row.item.dataset.untold = "";
    } else {
      row.item.remove();
    }
  }

  #makeRow(isTimed) {
    const item = element("li", "row");
    const mark = badge("unknown");
    const heading = element("p", "row-title");
    const detail = element("p", "row-detail");
    const state = element("p", "row-state");
    const word = element("span", "word");
    state.append(word);
    if (isTimed) {
      state.append(" ", document.createElement("time"));
    }
    item.append(mark, heading, detail, state);
    return this.#adoptRow(item);
  }

  #adoptRow(item) {
    const [icon, title, detail, word, time] = ["use", ".row-title", ".row-detail", ".word", ".row-state time"].map(
      (selector) => item.querySelector(selector),
    );
    if (time) {
      time.say = (seconds) => `for ${words.span(seconds)}`;
      this.#times.add(time);
    }
    return { item, icon, title, detail, word, time };
  }

  #time(at, say) {
    const time = document.createElement("time");
    time.say = say;
    setTime(time, at);
    this.#times.add(time);
    return time;
  }
}

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function badge(icon) {
  const made = element("span", "badge");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${icon}`);
  svg.append(use);
  made.append(svg);
  return made;
}

// The page is in English; what the server sent need not be.
function setLanguage(node, lang) {
  if (lang && lang !== "en") {
    node.lang = lang;
  } else {
    node.removeAttribute("lang");
  }
}

function setText(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

function setTime(time, at) {
  const known = at && !Number.isNaN(Date.parse(at));
  if (known && Date.parse(time.dateTime) === Date.parse(at)) {
    return; // the same, however it is written
  }
  if (time.dateTime !== (known ? at : "")) {
    time.dateTime = known ? at : "";
    time.title = known ? words.moment(at) : "";
  }
}
