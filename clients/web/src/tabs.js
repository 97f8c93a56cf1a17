// The tabs of one browser share a connection: one of them leads and holds it, the others hear from it.
//
// Leading is holding a Web Lock: the browser gives it on when a tab ends, however it ends. News goes over a
// BroadcastChannel. Without either of them, every tab leads for itself.

const SILENCE_MS = 5_000;
const SPREAD_MS = 1_000; // by which the tabs that wait for an answer do not all take over in the same moment
let count = 0; // of this tab's clients, which share like those of several tabs

export class Tabs {
  #name;
  #env;
  #on;
  #channel = null;
  #request = null;
  #release = null;
  #silence = 0;
  #pulse = 0;
  #heartbeatMs;
  #id;
  #term = 0; // of the tab that leads; each that does has a later one, so that the word of an earlier one is known as such

  /**
   * ``on`` has ``lead()``, ``mayLead()``, ``lost()`` (another tab leads now), ``hello(id, wants)`` (a tab asks for
   * "all", for a "sign" of life, or for a "retry") and ``told(message)``.
   */
  constructor({ name, heartbeatMs, env, on }) {
    this.#name = name;
    this.#heartbeatMs = heartbeatMs;
    this.#env = env;
    this.#on = on;
    this.#id = `${env.now()}-${env.random()}-${(count += 1)}`;
    this.isLeading = false;
    this.isShared = name !== null && Boolean(env.locks && env.BroadcastChannel);
  }

  /** Leads as soon as no other tab does. */
  join() {
    if (this.#request !== null) {
      return;
    }
    this.#open();
    this.#seek(false);
    this.ask("all");
  }

  /** Neither leads nor wants to, but hears of it when another tab does. */
  rest() {
    const request = this.#request;
    const release = this.#release;
    this.#request = null;
    this.#release = null;
    this.isLeading = false;
    this.#calm();
    request?.abort();
    release?.();
  }

  /** Tells the others, or the one of them that asked. */
  tell(message, to = null) {
    this.#channel?.postMessage({ message, to, term: this.#term });
  }

  /** Asks who leads for how things are. A tab that does not answer (frozen, or stuck) does not lead any longer. */
  ask(wants = "sign") {
    if (this.#channel === null || this.isLeading || this.#request === null) {
      return;
    }
    this.#channel.postMessage({ hello: this.#id, wants });
    this.#silence ||= this.#env.setTimeout(() => {
      this.#silence = 0;
      if (this.#request !== null && !this.isLeading && this.#on.mayLead()) {
        const request = this.#request;
        this.#seek(true);
        request.abort();
      }
    }, SILENCE_MS + this.#env.random() * SPREAD_MS);
  }

  /** Holds nothing any more, until it joins again: a page that is put away must not, or the browser drops it. */
  leave() {
    this.rest();
    this.#channel?.close();
    this.#channel = null;
  }

  #open() {
    if (this.isShared && this.#channel === null) {
      try {
        this.#channel = new this.#env.BroadcastChannel(this.#name);
        this.#channel.onmessage = ({ data }) => this.#heard(data);
      } catch {
        this.isShared = false; // a sandboxed frame, or storage that is switched off
      }
    }
  }

  #heard({ hello, wants, message, to, term }) {
    if (hello !== undefined) {
      if (this.isLeading) {
        this.#on.hello(hello, wants);
      }
      return;
    }
    if (this.isLeading || term < this.#term || (to !== null && to !== this.#id)) {
      return; // as for the term: a tab that was stuck when another took over, and has yet to hear of that
    }
    this.#term = term;
    this.#calm();
    if (this.#request !== null && this.#heartbeatMs > 0) {
      this.#pulse = this.#env.setTimeout(() => this.ask(), this.#heartbeatMs);
    }
    this.#on.told(message);
  }

  async #seek(steal) {
    const request = new AbortController();
    this.#request = request;
    if (!this.isShared) {
      this.#lead();
      return;
    }
    const held = () => {
      if (this.#request !== request) {
        return undefined;
      }
      return new Promise((resolve) => {
        this.#release = resolve;
        this.#lead();
      });
    };
    try {
      await this.#env.locks.request(this.#name, steal ? { steal } : { signal: request.signal }, held);
    } catch {
      if (this.#request !== request) {
        return; // given up by this tab itself
      }
      if (!this.isLeading) {
        this.isShared = false; // no locks for this page
        this.#lead();
        return;
      }
      // Another tab took over, as this one did not answer.
      this.rest();
      this.#on.lost();
    }
  }

  #calm() {
    this.#env.clearTimeout(this.#silence);
    this.#env.clearTimeout(this.#pulse);
    this.#silence = 0;
  }

  #lead() {
    this.#calm();
    this.isLeading = true;
    this.#term = Math.max(this.#env.now(), this.#term + 1);
    this.#on.lead();
  }
}
