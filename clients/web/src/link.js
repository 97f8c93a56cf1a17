// One connection to a node: it comes back by itself, and finds out when the node is not there any more.
//
// Browsers answer the node's pings out of sight of any script, and the protocol says nothing while nothing changes. A
// connection that went silent (a frozen node, a cable pulled out) therefore looks like a quiet day. So what counts as a
// missed heartbeat is what a script can see: not let in in time, or, after a while without news, no answer of any
// kind to an HTTP request to the same server.

import { askedDelay, isFinal, RETRY_MAX_MS, retryDelay } from "./reconnecting.js";

const SUBPROTOCOL = "availability.v1";
const OPEN_MS = 10_000;
const CHECK_MS = 5_000;
const SETTLED_MS = 10_000;
const ONLINE_SPREAD_MS = 500;

export class Link {
  #url;
  #checkUrl;
  #heartbeatMs;
  #getTicket;
  #mayConnect;
  #on;
  #env;
  #attempt = null; // an AbortController: everything that belongs to one connection ends with it
  #socket = null;
  #timer = 0;
  #heartbeat = 0;
  #failures = 0;
  #retryAfter = null;
  #isAsked = false; // whether the server said when to come back
  #openedAt = 0;
  #lostAt;
  #dueAt = 0;
  #checks = "untried"; // or "trusted", "doubted", "off"
  #check = null; // an AbortController, while the server is being asked

  /**
   * ``state`` is "idle", "connecting", "open", "waiting" (for the next attempt), "paused", "ended" (by a close after
   * which reconnecting cannot help) or "outdated" (the server speaks a newer protocol). ``on`` has ``message(text)``, ``change()`` and ``error(error)``.
   */
  constructor({ url, checkUrl, heartbeatMs, getTicket, mayConnect, on, env }) {
    this.#url = url;
    this.#checkUrl = checkUrl;
    this.#heartbeatMs = heartbeatMs;
    this.#getTicket = getTicket;
    this.#mayConnect = mayConnect;
    this.#on = on;
    this.#env = env;
    this.state = "idle";
    this.lastGood = env.now();
    this.#lostAt = this.lastGood;
    this.code = null;
    this.reason = "";
  }

  /** When the next attempt is due, in milliseconds since the epoch; null where none is. */
  get retryAt() {
    return this.state === "waiting" ? this.#dueAt : null;
  }

  /** Until when the server asked us to stay away; null where it did not. */
  get askedUntil() {
    return this.#isAsked ? this.#dueAt : null;
  }

  /** Since when there is no connection, in milliseconds since the epoch; while there is one, now. */
  get lostAt() {
    return this.state === "open" ? this.#env.now() : this.#lostAt;
  }

  /** Connects, or waits where the server asked for it. ``before`` is the connection of the tab that led. */
  start(before = null) {
    if (this.state !== "idle" && this.state !== "paused") {
      return;
    }
    if (before !== null) {
      this.lastGood = Math.max(this.lastGood, before.lastGood);
      this.#lostAt = before.state === "open" ? this.#env.now() : before.lostAt;
    }
    const early = Math.max(this.askedUntil ?? 0, before?.askedUntil ?? 0) - this.#env.now();
    this.#isAsked = early > 0;
    if (this.#isAsked) {
      this.#wait(early);
    } else {
      this.#connect();
    }
  }

  /** Ends it without a word to ``on``. It may be started again. */
  stop() {
    this.#leave();
    this.state = "idle";
  }

  /** Ends it for good: only ``retryNow`` connects again. */
  outdated() {
    this.#leave();
    this.#become("outdated");
  }

  /** The server lets us in, by the message that was just handed on: only now is this a connection. */
  opened() {
    if (this.state === "connecting") {
      this.#env.clearTimeout(this.#timer);
      this.#openedAt = this.lastGood;
      this.code = null;
      this.reason = "";
      this.state = "open";
    }
  }

  /** The next attempt now, because a person wants it. */
  retryNow() {
    if (["waiting", "paused", "ended", "outdated"].includes(this.state)) {
      this.#connect();
    }
  }

  /** What the last message asked for; each further message takes it back. */
  retryAfter(milliseconds) {
    this.#retryAfter = askedDelay(milliseconds);
  }

  /** The network is back. Whoever shares it notices in the same moment, so all come a little apart. */
  online() {
    if (this.state === "waiting" && !this.#isAsked) {
      this.#wait(this.#env.random() * ONLINE_SPREAD_MS);
    } else {
      this.check();
    }
  }

  /** The browser says that there is no network: nothing will come over this connection, so it is given up. */
  offline() {
    if (this.#attempt !== null) {
      this.#ended(1006, "");
    } else if (this.state === "waiting") {
      this.#become("waiting");
    }
  }

  /** Asks whether the server is there, and gives the connection up if not. */
  async check() {
    const attempt = this.#attempt;
    const isOff = this.#checks === "off" || this.#heartbeatMs <= 0;
    if (this.state !== "open" || this.#check !== null || isOff) {
      return;
    }
    const request = new AbortController();
    const timer = this.#env.setTimeout(() => request.abort(), CHECK_MS);
    this.#check = request;
    let isThere = true;
    try {
      // Any answer will do, also one that another origin may not read.
      await this.#env.fetch(this.#checkUrl, { cache: "no-store", mode: "no-cors", signal: request.signal });
    } catch {
      isThere = false;
    }
    this.#env.clearTimeout(timer);
    if (isThere) {
      this.#checks = "trusted";
    }
    if (attempt !== this.#attempt) {
      return;
    }
    this.#check = null;
    if (isThere) {
      this.lastGood = this.#env.now();
      this.#arm();
    } else {
      this.#missed();
    }
  }

  // A check that never worked proves little: a policy may forbid it, or a proxy lead it nowhere. Once it is believed;
  // if a new connection opens all the same and the check fails again, it was the check.
  #missed() {
    if (this.#checks === "doubted") {
      this.#checks = "off";
      return;
    }
    if (this.#checks === "untried") {
      this.#checks = "doubted";
    }
    this.#ended(1006, "");
  }

  async #connect() {
    this.#leave();
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#timer = this.#env.setTimeout(() => {
      const hasTicket = this.#socket !== null;
      this.#ended(1006, "");
      if (!hasTicket) {
        this.#on.error(new Error(`no ticket within ${OPEN_MS / 1000} s`));
      }
    }, OPEN_MS);
    this.#become("connecting");
    if (attempt !== this.#attempt) {
      return; // whoever heard of it ended it
    }
    const protocols = [SUBPROTOCOL];
    let socket;
    try {
      const ticket = this.#getTicket ? await this.#getTicket({ signal: attempt.signal }) : null;
      if (attempt !== this.#attempt) {
        return;
      }
      if (ticket) {
        protocols.push(`ticket.${ticket}`);
      }
      socket = new this.#env.WebSocket(this.#url, protocols);
    } catch (error) {
      if (attempt === this.#attempt) {
        this.#ended(1006, "");
        this.#on.error(error); // at last, as whoever hears of it may end everything
      }
      return;
    }
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      if (attempt === this.#attempt) {
        this.#heard(data);
      }
    };
    socket.onclose = ({ code, reason }) => {
      if (attempt === this.#attempt) {
        this.#ended(code, reason);
      }
    };
  }

  #heard(data) {
    this.lastGood = this.#env.now();
    this.#retryAfter = null;
    const before = this.state;
    this.#arm();
    this.#on.message(data);
    // Told only now: an open connection goes with what it said, not with what was known before.
    if (before !== "open" && this.state === "open") {
      this.#on.change();
    }
  }

  #ended(code, reason) {
    const now = this.#env.now();
    const wasOpen = this.state === "open";
    if (wasOpen && now - this.#openedAt >= SETTLED_MS) {
      this.#failures = 0; // a node that lets everybody in and throws everybody out is not met without a pause
    }
    this.#leave();
    this.code = code;
    this.reason = reason;
    if (isFinal(code)) {
      this.#become("ended");
      return;
    }
    this.#failures += 1;
    const asked = this.#retryAfter;
    this.#retryAfter = null;
    this.#isAsked = asked !== null;
    // A browser that says "offline" may be wrong, so attempts go on, but rarely: the event "online" ends the wait.
    const delay = this.#env.isOnline() ? retryDelay(this.#failures, this.#env.random) : RETRY_MAX_MS;
    this.#wait(asked ?? delay);
  }

  #wait(milliseconds) {
    this.#env.clearTimeout(this.#timer);
    this.#dueAt = this.#env.now() + milliseconds;
    this.#timer = this.#env.setTimeout(() => this.#due(), milliseconds);
    this.#become(this.#mayConnect() ? "waiting" : "paused");
  }

  #due() {
    if (this.#mayConnect()) {
      this.#connect();
    } else {
      this.#become("paused");
    }
  }

  // Lets go of the socket without waiting for the other side, which may not be there.
  #leave() {
    const socket = this.#socket;
    const attempt = this.#attempt;
    this.#lostAt = this.lostAt;
    this.#socket = null;
    this.#attempt = null;
    this.#env.clearTimeout(this.#timer);
    this.#env.clearTimeout(this.#heartbeat);
    this.#check?.abort();
    this.#check = null;
    attempt?.abort();
    socket?.close(1000);
  }

  #arm() {
    this.#env.clearTimeout(this.#heartbeat);
    if (this.#heartbeatMs > 0) {
      // News reaches all clients at once, and their checks are not to follow it all at once.
      const milliseconds = this.#heartbeatMs * (0.75 + this.#env.random() / 2);
      this.#heartbeat = this.#env.setTimeout(() => {
        this.#arm();
        if (this.#mayConnect()) {
          this.check();
        }
      }, milliseconds);
    }
  }

  #become(state) {
    this.state = state;
    this.#on.change();
  }
}
