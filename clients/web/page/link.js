// The connection to the server: reconnecting with full jitter, and a check that the server is really still there.
//
// A browser is not told when a connection goes silent (a frozen server, a cable pulled out), so while the page is
// connected it also asks the server over HTTP now and then.

const OPEN_MS = 10_000;
const CHECK_EVERY_MS = 10_000;
const CHECK_MS = 5_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 20_000;

// Full jitter: anywhere between the least and what the number of failures in a row allows.
export function retryDelay(failures, random = Math.random) {
  const most = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 10));
  return RETRY_MIN_MS + random() * (most - RETRY_MIN_MS);
}

// By the catalogue of close codes: reconnecting cannot help after these.
export function isFinal(code) {
  return [1000, 1002, 1007, 1009].includes(code) || (code >= 3500 && code <= 3999);
}

export class Link {
  #url;
  #checkUrl;
  #onMessage;
  #onChange;
  #socket = null;
  #timer = 0;
  #failures = 0;
  #retryAfter = null;

  // state: "connecting", "open", "waiting" (for the next attempt) or "ended" (no further attempt by itself).
  // lastGood: when the server was last known to be there, in milliseconds since the epoch.
  constructor({ url, checkUrl, onMessage, onChange }) {
    this.#url = url;
    this.#checkUrl = checkUrl;
    this.#onMessage = onMessage;
    this.#onChange = onChange;
    this.state = "connecting";
    this.lastGood = Date.now();
  }

  start() {
    addEventListener("online", () => this.retryNow());
    addEventListener("offline", () => this.#drop());
    document.addEventListener("visibilitychange", () => document.hidden || this.#check());
    setInterval(() => document.hidden || this.#check(), CHECK_EVERY_MS);
    this.#connect();
  }

  retryNow() {
    if (this.state === "waiting" || this.state === "ended") {
      this.#connect();
    }
  }

  // The message that says so came: the next attempt is due then, whatever the failures so far.
  retryAfter(milliseconds) {
    this.#retryAfter = milliseconds;
  }

  #connect() {
    clearTimeout(this.#timer);
    const socket = new WebSocket(this.#url, ["availability.v1"]);
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#drop(), OPEN_MS);
    socket.onmessage = (event) => {
      if (socket !== this.#socket) {
        return;
      }
      clearTimeout(this.#timer);
      this.lastGood = Date.now();
      this.#failures = 0;
      if (this.state !== "open") {
        this.#become("open");
      }
      this.#onMessage(event.data);
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) {
        if (this.state === "open") {
          this.lastGood = Date.now();
        }
        this.#ended(event.code);
      }
    };
    this.#become("connecting");
  }

  #ended(code) {
    clearTimeout(this.#timer);
    this.#socket = null;
    if (isFinal(code)) {
      this.#become("ended");
      return;
    }
    const wait = this.#retryAfter ?? retryDelay(++this.#failures);
    this.#retryAfter = null;
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#become("waiting");
  }

  // Gives the connection up without waiting for the other side.
  #drop() {
    const socket = this.#socket;
    if (socket !== null) {
      this.#ended(1006);
      socket.close();
    }
  }

  async #check() {
    const socket = this.#socket;
    if (this.state !== "open") {
      return;
    }
    try {
      await fetch(this.#checkUrl, { cache: "no-store", signal: AbortSignal.timeout(CHECK_MS) });
      if (socket === this.#socket) {
        this.lastGood = Date.now();
      }
    } catch {
      if (socket === this.#socket) {
        this.#drop();
      }
    }
  }

  #become(state) {
    this.state = state;
    this.#onChange(state);
  }
}
