// What an application uses: the state of things, and what happens to it.

import { browserEnvironment } from "./environment.js";
import { Link } from "./link.js";
import { areViews, isUnwell, Replica, VERSION } from "./replica.js";
import { Tabs } from "./tabs.js";

const GRACE_MS = 5_000;
const HEARTBEAT_MS = 30_000;
const BACKLOG = 1_000;
const UNAVAILABLE = 1011; // the close that follows a refusal

/** An event of the client; ``detail`` depends on its type. */
export class AvailabilityEvent extends Event {
  constructor(type, detail) {
    super(type);
    this.detail = detail;
  }
}

/** The client cannot go on. The message says what to do. */
export class AvailabilityError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = "AvailabilityError";
  }
}

/** Follows the availability of an application's services. The types and their documentation are in index.d.ts. */
export class AvailabilityClient extends EventTarget {
  #env;
  #link;
  #tabs;
  #replica = new Replica();
  #graceMs;
  #heartbeatMs;
  #pauseHidden;
  #listening = new AbortController();
  #phase = "idle"; // "running", "closed"
  #remote = null; // the connection of the tab that leads
  #isPaused = false;
  #admission = null;
  #refusal = null;
  #isRefusedNow = false; // the refusal came over the connection that ended last
  #text = "";
  #lang = "en";
  #at = ""; // when the server said what it said last, by its own clock
  #standing = "connecting";
  #isSilent = false; // after the events of its closing there are no more, whatever a listener was in the middle of
  #grace = 0;
  #soughtAt = 0;
  #readers = new Set();
  #loaded;
  #settle;
  #isOver = false; // the connection ended so that only a person tries again

  constructor(url, options = {}) {
    super();
    const env = { ...browserEnvironment(), ...options.environment };
    const address = socketUrl(url, options, env.baseUrl);
    this.url = address.href;
    this.#env = env;
    this.#graceMs = options.graceMs ?? GRACE_MS;
    this.#heartbeatMs = options.heartbeatMs ?? HEARTBEAT_MS;
    this.#pauseHidden = options.pauseHidden ?? true;
    this.#expect();
    const mayConnect = () => !this.#pauseHidden || !env.isHidden();
    this.#link = new Link({
      url: this.url,
      checkUrl: options.checkUrl ?? checkUrl(address),
      heartbeatMs: this.#heartbeatMs,
      getTicket: options.getTicket,
      mayConnect,
      env,
      on: {
        message: (text) => this.#received(text),
        change: () => this.#linkChanged(),
        error: (error) => this.#emit("error", ticketError(error)),
      },
    });
    this.#tabs = new Tabs({
      heartbeatMs: this.#heartbeatMs,
      name: (options.share ?? true) ? shareName(options, this.url) : null,
      env,
      on: {
        lead: () => (mayConnect() ? this.#lead() : this.#pause()),
        mayLead: mayConnect,
        lost: () => {
          this.#link.stop();
          this.#follow();
        },
        hello: (id, wants) => this.#answer(id, wants),
        told: (message) => this.#told(message),
      },
    });
    const { signal } = this.#listening;
    options.signal?.addEventListener("abort", () => this.close(options.signal.reason), { signal });
    if (options.signal?.aborted) {
      this.close(options.signal.reason);
    }
  }

  get services() {
    return this.#replica.services;
  }

  get features() {
    return this.#replica.features;
  }

  get position() {
    return this.#replica.position;
  }

  get feed() {
    return this.#replica.feed;
  }

  get isLoaded() {
    return this.#replica.isLoaded;
  }

  get text() {
    return this.#text;
  }

  get lang() {
    return this.#lang;
  }

  get admission() {
    return this.#admission;
  }

  get refusal() {
    return this.#refusal;
  }

  get isLeading() {
    return this.#tabs.isLeading;
  }

  get lastGood() {
    return this.#near.lastGood;
  }

  get closeCode() {
    return this.#near.code;
  }

  get closeReason() {
    return this.#near.reason;
  }

  get retryAt() {
    return this.#near.retryAt;
  }

  get connection() {
    if (this.#phase !== "running") {
      return this.#phase;
    }
    const { state } = this.#near;
    if (this.#isPaused) {
      return "paused";
    }
    if (state === "idle") {
      return "connecting"; // another tab leads, and has yet to say how things are
    }
    return state === "waiting" && !this.#env.isOnline() ? "offline" : state;
  }

  get isOffline() {
    return this.connection !== "open" && !this.#env.isOnline();
  }

  get isFeedLost() {
    if (this.connection === "open") {
      return this.isLoaded && this.feed !== "live";
    }
    if (this.#phase === "idle" || this.#phase === "closed" || this.#isRefusedNow) {
      return false;
    }
    return this.connection === "ended" || this.#env.now() - this.#lostAt >= this.#graceMs;
  }

  get troubles() {
    return [...(this.#refusal?.services ?? this.services.values())].filter(isUnwell);
  }

  get standing() {
    if (this.connection === "outdated") {
      return "outdated";
    }
    if (this.isOffline) {
      return "offline";
    }
    if (this.isFeedLost) {
      return "lost";
    }
    if (this.#isRefusedNow) {
      return "refused";
    }
    if (!this.isLoaded) {
      return "connecting";
    }
    if (this.troubles.length) {
      return "degraded";
    }
    const services = [...this.services.values()];
    return services.length && services.every(({ status }) => status === "up") ? "well" : "unknown";
  }

  connect() {
    if (this.#phase === "idle") {
      this.#phase = "running";
      const { signal } = this.#listening;
      const on = (type, listener) => this.#env.on(type, listener, signal);
      on("online", () => this.#networkChanged(true));
      on("offline", () => this.#networkChanged(false));
      on("visibilitychange", () => this.#env.isHidden() || this.#shown());
      on("pagehide", () => {
        this.#pause();
        this.#tabs.leave();
      });
      on("pageshow", ({ persisted }) => persisted && this.#follow());
      this.#follow();
    }
    return this.#loaded;
  }

  reconnect() {
    if (this.#phase === "idle") {
      this.connect();
    } else if (this.#phase !== "closed") {
      this.#isPaused = false;
      if (this.isLeading) {
        this.#link.retryNow();
      } else {
        this.#tabs.join();
        this.#tabs.ask("retry");
      }
    }
  }

  close(reason) {
    if (this.#phase === "closed") {
      return;
    }
    this.#tell({ link: { ...this.#state(), state: "connecting" } }); // who leads next connects at once
    this.#phase = "closed";
    this.#listening.abort();
    this.#env.clearTimeout(this.#grace);
    this.#link.stop();
    this.#tabs.leave();
    this.#settle.reject(reason ?? new AvailabilityError("The client was closed; make a new one to connect again."));
    for (const reader of this.#readers) {
      reader.end();
    }
    this.#emit("connection", { state: "closed" });
    this.#emit("change");
    this.#isSilent = true;
  }

  notices({ signal } = {}) {
    const waiting = [];
    const ready = [];
    const done = { value: undefined, done: true };
    let isOver = this.#phase === "closed" || signal?.aborted === true;
    const reader = {
      put: (value) => {
        const first = waiting.shift();
        if (first) {
          first({ value, done: false });
        } else if (ready.push(value) > BACKLOG) {
          ready.shift();
        }
      },
      end: () => {
        isOver = true;
        this.#readers.delete(reader);
        signal?.removeEventListener("abort", reader.end);
        for (const each of waiting.splice(0)) {
          each(done);
        }
      },
    };
    if (!isOver) {
      this.#readers.add(reader);
      signal?.addEventListener("abort", reader.end);
    }
    return {
      next: async () => {
        if (ready.length) {
          return { value: ready.shift(), done: false };
        }
        return isOver ? done : new Promise((resolve) => waiting.push(resolve));
      },
      return: async (value) => {
        ready.length = 0;
        reader.end();
        return { value, done: true };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  [Symbol.asyncIterator]() {
    this.connect();
    return this.notices();
  }

  #expect() {
    this.#loaded = new Promise((resolve, reject) => {
      this.#settle = { resolve: () => resolve(this), reject };
    });
    this.#loaded.catch(() => {}); // whoever does not wait for it hears of it by "connection"
  }

  // The connection as this tab knows it: its own, or that of the tab that leads.
  get #near() {
    return this.isLeading || this.#remote === null ? this.#link : this.#remote;
  }

  // Since when there is no connection. Before anything is known it is not missed until it was looked for.
  get #lostAt() {
    return Math.max(this.#near.lostAt, this.#soughtAt);
  }

  #follow() {
    if (this.#phase === "running") {
      if (!this.isLoaded) {
        this.#soughtAt = this.#env.now();
      }
      this.#isPaused = false;
      this.#remote &&= { ...this.#remote, state: "connecting" }; // what it was then need not be so now
      this.#tabs.join();
      this.#update();
    }
  }

  #lead() {
    const before = this.#remote;
    this.#isPaused = false;
    this.#remote = null;
    this.#link.start(before);
  }

  // A hidden tab opens no connection. It lets others lead, of which one may be in sight.
  #pause() {
    if (this.#phase === "running") {
      this.#isPaused = true;
      this.#tell({ link: { ...this.#state(), state: "paused" } });
      this.#link.stop();
      this.#tabs.rest();
      this.#changed();
    }
  }

  #shown() {
    if (this.isLeading) {
      this.#link.check();
    } else if (this.#isPaused) {
      this.#follow();
    } else {
      this.#tabs.ask();
    }
  }

  #networkChanged(isOnline) {
    if (!this.isLeading) {
      this.#tabs.ask();
    } else if (isOnline) {
      this.#link.online();
    } else {
      this.#link.offline();
    }
    this.#changed();
  }

  #linkChanged() {
    if (this.#link.state === "paused") {
      this.#pause();
      return;
    }
    this.#tell({ link: this.#state() });
    this.#changed();
  }

  #state() {
    const { state, lastGood, lostAt, retryAt, askedUntil, code, reason } = this.#link;
    return { state, lastGood, lostAt, retryAt, askedUntil, code, reason };
  }

  #tell(message, to = null) {
    if (this.isLeading) {
      this.#tabs.tell(message, to);
    }
  }

  #answer(id, wants) {
    if (wants === "retry" || (wants === "all" && this.#isOver)) {
      this.reconnect(); // somebody wants it, or opened or reloaded a page
    }
    if (wants !== "all") {
      this.#tell({ link: this.#state() }, id);
      if (this.#env.now() - this.lastGood >= this.#heartbeatMs / 2) {
        this.#link.check();
      }
      return;
    }
    const { position, feed, isLoaded } = this.#replica;
    const type = this.#admission === "waiting" ? "waiting" : "welcome";
    const views = { services: [...this.services.values()], features: [...this.features.values()] };
    const whole = { type, v: VERSION, at: this.#at, position, feed, ...views };
    const said = isLoaded ? [{ ...whole, text: this.#text, lang: this.#lang }] : [];
    if (this.#refusal) {
      said.push(this.#refusal);
    }
    this.#tell({ said, link: this.#state() }, id);
  }

  #told({ said = [], link }) {
    if (this.#phase === "idle" || this.#phase === "closed") {
      return;
    }
    this.#remote = link ?? (this.#remote && { ...this.#remote, lastGood: this.#env.now() });
    for (const each of said) {
      this.#take(each);
    }
    if (link) {
      if (link.state !== "paused") {
        this.#isPaused = false;
        this.#tabs.join(); // a hidden tab gave up its turn when nobody was in sight
      }
      this.#changed();
    } else {
      this.#update();
    }
  }

  #received(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (typeof message !== "object" || message === null) {
      return;
    }
    if (message.v > VERSION) {
      this.#link.outdated();
      return;
    }
    this.#tell({ said: [message] });
    this.#take(message);
    this.#update();
  }

  #take(message) {
    const { type } = message;
    this.#at = message.at ?? this.#at;
    if (type === "rejected" && !(areViews(message.services ?? []) && areViews(message.features ?? []))) {
      return;
    }
    if (type === "goodbye" || type === "rejected") {
      if (this.isLeading) {
        this.#link.retryAfter(message.retry_after_ms);
      }
      if (type === "rejected") {
        this.#refusal = message;
        this.#isRefusedNow = true;
        this.#admission = "rejected";
      }
      this.#emit(type, message);
      return;
    }
    const before = this.#replica.services;
    const happened = this.#replica.apply(message);
    if (this.#replica.services !== before) {
      if (this.isLeading) {
        this.#link.opened();
      }
      this.#text = message.text ?? "";
      this.#lang = message.lang ?? "en";
      this.#refusal = null;
      this.#isRefusedNow = false;
      if (type !== "snapshot") {
        this.#admission = type === "waiting" ? "waiting" : "admitted";
      }
      this.#settle.resolve();
      this.#emit(type, message);
    }
    for (const each of happened) {
      this.#emit(each.kind === "feed" ? "feed" : "notice", each);
      for (const reader of this.#readers) {
        reader.put(each);
      }
    }
  }

  // The connection is another one than before, or in another state.
  #changed() {
    const { state: near, code: ending } = this.#near;
    if ((near === "waiting" || near === "ended") && ending !== null && ending !== UNAVAILABLE) {
      this.#isRefusedNow = false; // this time it was something else
    }
    const { connection: state, retryAt, closeCode: code, closeReason: reason } = this;
    if (this.#isOver && state !== "ended" && state !== "outdated") {
      this.#expect(); // somebody tries again, and may wait for how that goes
    }
    this.#isOver = state === "ended" || state === "outdated";
    if (state === "ended") {
      const why = [code, reason].filter(Boolean).join(" ");
      const help = "mend what it says, and call reconnect()";
      this.#settle.reject(new AvailabilityError(`The server ended the connection: ${why}; ${help}.`));
    } else if (state === "outdated") {
      this.#settle.reject(new AvailabilityError("The server speaks a newer protocol; reload the page."));
    }
    this.#emit("connection", { state, retryAt, code, reason });
    this.#update();
  }

  #update() {
    if (this.#phase === "closed") {
      return;
    }
    const standing = this.standing;
    const before = this.#standing;
    this.#standing = standing;
    if (standing !== before) {
      this.#emit("standing", { standing, before });
    }
    this.#emit("change");
    if (this.#phase === "closed") {
      return; // a listener closed it
    }
    this.#env.clearTimeout(this.#grace);
    const left = this.#lostAt + this.#graceMs - this.#env.now();
    if (this.connection !== "open" && left > 0) {
      this.#grace = this.#env.setTimeout(() => this.#update(), left);
    }
  }

  #emit(type, detail = null) {
    if (!this.#isSilent) {
      this.dispatchEvent(new AvailabilityEvent(type, detail));
    }
  }
}

// Tabs that share hear the same words, so they are of one language.
function shareName({ shareName, locale }, url) {
  return ["status-broadcaster", VERSION, shareName ?? url, locale].join(" ");
}

function socketUrl(url, { services, features, locale }, base) {
  let address;
  try {
    address = new URL(url, base);
    address.protocol = address.protocol.replace(/^http/, "ws");
    if (!/^wss?:$/.test(address.protocol)) {
      throw new TypeError(`WebSockets do not speak ${address.protocol}`); // also of a relative address in a local file
    }
  } catch (error) {
    throw new AvailabilityError(`"${url}" is no address; give one like wss://example.org/ws/status`, { cause: error });
  }
  address.hash = "";
  for (const [name, wanted] of Object.entries({ services, features })) {
    if (wanted?.length) {
      address.searchParams.set(name, wanted.join(","));
    }
  }
  if (locale) {
    address.searchParams.set("locale", locale);
  }
  return address;
}

// Where any answer means that the server is there: the node's /livez, beside its /ws.
function checkUrl(address) {
  const found = new URL(address);
  found.protocol = found.protocol.replace(/^ws/, "http");
  found.pathname = found.pathname.replace(/(\/ws(\/status)?|\/[^/]*)$/, "/livez");
  found.search = "";
  return found.href;
}

function ticketError(error) {
  const why = error?.message ?? error;
  const text = `No connection could be tried; mend getTicket, or the address: ${why}`;
  return new AvailabilityError(text, { cause: error });
}
