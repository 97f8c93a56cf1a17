// What an application uses: the state of things, and what happens to it.

import { checkUrl, shareName, socketUrl } from "./address.js";
import { Connection } from "./connection.js";
import { browserEnvironment } from "./environment.js";
import { AvailabilityError, AvailabilityEvent } from "./events.js";
import { Readers } from "./readers.js";
import { areViews, isUnwell, Replica, VERSION } from "./replica.js";

const GRACE_MS = 5_000;
const HEARTBEAT_MS = 30_000;
const UNAVAILABLE = 1011; // the close that follows a refusal

/** Follows the availability of an application's services. The types and their documentation are in index.d.ts. */
export class AvailabilityClient extends EventTarget {
  #env;
  #graceMs;
  #connection;
  #replica = new Replica();
  #untilClosed = new AbortController();
  #admission = null;
  #refusal = null;
  #isRefusedNow = false; // the refusal came over the connection that ended last
  #text = "";
  #lang = "en";
  #at = ""; // when the server said what it said last, by its own clock
  #standing = "connecting";
  #isSilent = false; // after the events of its closing there are no more, whatever a listener was in the middle of
  #grace = 0;
  #readers = new Readers();
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
    this.#expect();
    this.#connection = new Connection({
      url: this.url,
      checkUrl: options.checkUrl ?? checkUrl(address),
      heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
      getTicket: options.getTicket,
      pauseHidden: options.pauseHidden ?? true,
      shareName: shareName(options, address),
      env,
      on: {
        heard: (messages, isOther) => this.#heard(messages, isOther),
        known: () => this.#known(),
        error: (error) => this.#emit("error", ticketError(error)),
      },
    });
    const { signal } = this.#untilClosed;
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
    return this.#connection.isLeading;
  }

  get lastGood() {
    return this.#connection.near.lastGood;
  }

  get closeCode() {
    return this.#connection.near.code;
  }

  get closeReason() {
    return this.#connection.near.reason;
  }

  get retryAt() {
    return this.#connection.near.retryAt;
  }

  get connection() {
    return this.#connection.state;
  }

  get isOffline() {
    return this.connection !== "open" && !this.#env.isOnline();
  }

  get isFeedLost() {
    switch (this.connection) {
      case "open":
        return this.isLoaded && this.feed !== "live";
      case "idle":
      case "closed":
        return false;
      default:
        return !this.#isRefusedNow && (this.connection === "ended" || this.#graceLeft <= 0);
    }
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
    this.#connection.start();
    return this.#loaded;
  }

  reconnect() {
    if (this.connection === "idle") {
      this.#connection.start();
    } else {
      this.#connection.retry();
    }
  }

  close(reason) {
    if (this.connection === "closed") {
      return;
    }
    this.#connection.close();
    this.#untilClosed.abort();
    this.#env.clearTimeout(this.#grace);
    this.#settle.reject(reason ?? new AvailabilityError("The client was closed; make a new one to connect again."));
    this.#readers.end();
    this.#emit("connection", { state: "closed" });
    this.#emit("change");
    this.#isSilent = true;
  }

  notices({ signal } = {}) {
    return this.#readers.open(signal);
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

  // How much of the grace is left, in milliseconds, where there is no connection.
  get #graceLeft() {
    return this.#connection.lostAt + this.#graceMs - this.#env.now();
  }

  #heard(messages, isOther) {
    for (const each of messages) {
      this.#take(each);
    }
    if (isOther) {
      this.#changed();
    } else {
      this.#update();
    }
  }

  // All that was heard, as messages.
  #known() {
    const { position, feed, isLoaded } = this.#replica;
    const type = this.#admission === "waiting" ? "waiting" : "welcome";
    const views = { services: [...this.services.values()], features: [...this.features.values()] };
    const words = { text: this.#text, lang: this.#lang };
    const messages = isLoaded ? [{ type, v: VERSION, at: this.#at, position, feed, ...views, ...words }] : [];
    return this.#refusal ? [...messages, this.#refusal] : messages;
  }

  #take(message) {
    const { type } = message;
    this.#at = message.at ?? this.#at;
    if (type === "rejected" && !(areViews(message.services ?? []) && areViews(message.features ?? []))) {
      return;
    }
    if (type === "goodbye" || type === "rejected") {
      this.#connection.retryAfter(message.retry_after_ms);
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
      this.#connection.opened();
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
      this.#readers.put(each);
    }
  }

  // The connection is another one than before, or in another state.
  #changed() {
    const { connection: state, retryAt, closeCode: code, closeReason: reason } = this;
    const isUp = state === "open" || state === "connecting";
    if (!isUp && code !== null && code !== UNAVAILABLE) {
      this.#isRefusedNow = false; // this time it was something else
    }
    const { isOver } = this.#connection;
    if (this.#isOver && !isOver) {
      this.#expect(); // somebody tries again, and may wait for how that goes
    }
    this.#isOver = isOver;
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
    if (this.connection === "closed") {
      return;
    }
    const { standing } = this;
    const before = this.#standing;
    this.#standing = standing;
    if (standing !== before) {
      this.#emit("standing", { standing, before });
    }
    this.#emit("change");
    if (this.connection === "closed") {
      return; // a listener closed it
    }
    this.#env.clearTimeout(this.#grace);
    if (this.connection !== "open" && this.#graceLeft > 0) {
      this.#grace = this.#env.setTimeout(() => this.#update(), this.#graceLeft);
    }
  }

  #emit(type, detail = null) {
    if (!this.#isSilent) {
      this.dispatchEvent(new AvailabilityEvent(type, detail));
    }
  }
}

function ticketError(error) {
  const why = error?.message ?? error;
  const text = `No connection could be tried; mend getTicket, or the address: ${why}`;
  return new AvailabilityError(text, { cause: error });
}
