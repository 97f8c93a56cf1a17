// The connection of this browser to the server, whichever tab holds it: this one, or one that leads and tells the others.

import { Link } from "./link.js";
import { VERSION } from "./replica.js";
import { Tabs } from "./tabs.js";

export class Connection {
  #env;
  #on;
  #heartbeatMs;
  #mayConnect;
  #link;
  #tabs;
  #listening = new AbortController();
  #phase = "idle"; // "running", "closed"
  #remote = null; // the connection of the tab that leads
  #isPaused = false;
  #isKnown = false; // whether there ever was a connection
  #soughtAt = 0;

  /**
   * ``on`` has ``heard(messages, isOther)`` (what the server said, and whether the connection is another one than
   * before or in another state), ``known()`` (the messages that tell a new tab all of it) and ``error(error)``.
   */
  constructor({ url, checkUrl, heartbeatMs, getTicket, pauseHidden, shareName, env, on }) {
    this.#env = env;
    this.#on = on;
    this.#heartbeatMs = heartbeatMs;
    this.#mayConnect = () => !pauseHidden || !env.isHidden();
    this.#link = new Link({
      url,
      checkUrl,
      heartbeatMs,
      getTicket,
      mayConnect: this.#mayConnect,
      env,
      on: {
        message: (text) => this.#received(text),
        change: () => this.#linkChanged(),
        error: on.error,
      },
    });
    this.#tabs = new Tabs({
      heartbeatMs,
      name: shareName,
      env,
      on: {
        lead: () => (this.#mayConnect() ? this.#lead() : this.#pause()),
        mayLead: this.#mayConnect,
        lost: () => {
          this.#link.stop();
          this.#follow();
        },
        hello: (id, wants) => this.#answer(id, wants),
        told: (message) => this.#told(message),
      },
    });
  }

  /** As in index.d.ts. */
  get state() {
    if (this.#phase !== "running") {
      return this.#phase;
    }
    if (this.#isPaused) {
      return "paused";
    }
    const { state } = this.near;
    if (state === "idle") {
      return "connecting"; // another tab leads, and has yet to say how things are
    }
    return state === "waiting" && !this.#env.isOnline() ? "offline" : state;
  }

  /** Whether it ended so that only a person tries again. */
  get isOver() {
    return this.state === "ended" || this.state === "outdated";
  }

  get isLeading() {
    return this.#tabs.isLeading;
  }

  /** Its ``lastGood``, ``retryAt``, ``code`` and ``reason``, as this tab knows them: its own, or what it was told. */
  get near() {
    return this.isLeading || this.#remote === null ? this.#link : this.#remote;
  }

  /** Since when there is none. Before there ever was one, it is not missed until it is looked for. */
  get lostAt() {
    return Math.max(this.near.lostAt, this.#soughtAt);
  }

  start() {
    if (this.#phase !== "idle") {
      return;
    }
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

  /** The next attempt now, because a person wants it. */
  retry() {
    if (this.#phase === "running") {
      this.#isPaused = false;
      if (this.isLeading) {
        this.#link.retryNow();
      } else {
        this.#tabs.join();
        this.#tabs.ask("retry");
      }
    }
  }

  close() {
    this.#tell({ link: { ...this.#state(), state: "connecting" } }); // who leads next connects at once
    this.#phase = "closed";
    this.#listening.abort();
    this.#link.stop();
    this.#tabs.leave();
  }

  /** The message that was handed on lets us in. */
  opened() {
    this.#isKnown = true;
    if (this.isLeading) {
      this.#link.opened();
    }
  }

  /** The message that was handed on asks to come back after so long. */
  retryAfter(milliseconds) {
    if (this.isLeading) {
      this.#link.retryAfter(milliseconds);
    }
  }

  #follow() {
    if (this.#phase === "running") {
      if (!this.#isKnown) {
        this.#soughtAt = this.#env.now();
      }
      this.#isPaused = false;
      this.#remote &&= { ...this.#remote, state: "connecting" }; // what it was then need not be so now
      this.#tabs.join();
      this.#on.heard([], false);
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
      this.#on.heard([], true);
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
    this.#on.heard([], true);
  }

  #linkChanged() {
    if (this.#link.state === "paused") {
      this.#pause();
      return;
    }
    this.#tell({ link: this.#state() });
    this.#on.heard([], true);
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
    if (wants === "retry" || (wants === "all" && this.isOver)) {
      this.retry(); // somebody wants it, or opened or reloaded a page
    }
    if (wants === "all") {
      this.#tell({ said: this.#on.known(), link: this.#state() }, id);
      return;
    }
    this.#tell({ link: this.#state() }, id);
    if (this.#env.now() - this.near.lastGood >= this.#heartbeatMs / 2) {
      this.#link.check();
    }
  }

  #told({ said = [], link }) {
    if (this.#phase !== "running") {
      return;
    }
    this.#remote = link ?? (this.#remote && { ...this.#remote, lastGood: this.#env.now() });
    if (link && link.state !== "paused") {
      this.#isPaused = false;
      this.#tabs.join(); // a hidden tab gave up its turn when nobody was in sight
    }
    this.#on.heard(said, link !== undefined);
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
    this.#on.heard([message], false);
  }
}
