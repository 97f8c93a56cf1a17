// A browser of a test's own: a clock that it winds, sockets that say what it wants, tabs that share locks and channels.

export const POSITION = { epoch: "e", revision: 3 };

export function service(name, status, more = {}) {
  const view = { name, title: name, status, criticality: "critical", since: "2026-01-01T10:00:00Z", category: null };
  return { ...view, caused_by: [], ...more };
}

export function welcome(statuses = { auth: "up" }, more = {}) {
  const services = Object.entries(statuses).map(([name, status]) => service(name, status));
  const head = { type: "welcome", v: 1, position: POSITION, at: "2026-01-01T10:04:00Z", feed: "live" };
  return { ...head, services, features: [], text: "", ...more };
}

export function notice(revision, name, status, more = {}) {
  const kind = status === "up" ? "recovered" : status;
  const head = { type: "notice", v: 1, position: { epoch: "e", revision }, at: "2026-01-01T10:05:00Z", kind };
  const tail = { features: [], text: `${name} ${status}`, local: false, incident: "", quiet: false };
  return { ...head, service: service(name, status), ...tail, ...more };
}

export const rejected = (retryAfterMs) => ({
  type: "rejected",
  v: 1,
  position: POSITION,
  at: "2026-01-01T10:04:00Z",
  services: [service("auth", "down")],
  features: [],
  text: "Sign-in is unavailable, and we cannot connect you without it.",
  retry_after_ms: retryAfterMs,
});

// Lets everything that is due without the clock happen.
export async function settle() {
  for (let turn = 0; turn < 20; turn += 1) {
    await Promise.resolve();
  }
}

export class World {
  constructor() {
    this.time = 1_000_000;
    this.timers = new Map();
    this.tabs = [];
    this.sockets = [];
    this.channels = new Set();
    this.locks = new Map();
    this.checks = [];
    this.isOnline = true;
    this.answersChecks = true;
  }

  tab(options) {
    const tab = new Tab(this, options);
    this.tabs.push(tab);
    return tab;
  }

  // The connections that are neither closed nor given up.
  get open() {
    return this.sockets.filter((each) => !each.isClosed);
  }

  get last() {
    return this.sockets.at(-1);
  }

  async pass(milliseconds) {
    const end = this.time + milliseconds;
    for (;;) {
      await settle();
      const due = [...this.timers].filter(([, each]) => each.at <= end).sort(([, one], [, other]) => one.at - other.at)[0];
      if (!due) {
        break;
      }
      this.timers.delete(due[0]);
      this.time = due[1].at;
      due[1].callback();
    }
    this.time = end;
    await settle();
  }

  async network(isOnline) {
    this.isOnline = isOnline;
    for (const tab of this.tabs) {
      tab.fire(isOnline ? "online" : "offline");
    }
    await settle();
  }

  // The lock of this name, and which tabs hold it and wait for it.
  lock(name) {
    if (!this.locks.has(name)) {
      this.locks.set(name, { holder: null, queue: [] });
    }
    return this.locks.get(name);
  }

  request(tab, name, { signal, steal }, callback) {
    const lock = this.lock(name);
    return new Promise((resolve, reject) => {
      const entry = { tab, callback, resolve, reject };
      if (steal) {
        const { holder } = lock;
        holder?.tab.run(() => holder.reject(new DOMException("stolen", "AbortError")));
        lock.queue.unshift(entry);
        lock.holder = null;
      } else {
        lock.queue.push(entry);
        signal?.addEventListener("abort", () => {
          if (lock.queue.includes(entry)) {
            lock.queue.splice(lock.queue.indexOf(entry), 1);
            reject(signal.reason);
          }
        });
      }
      queueMicrotask(() => this.grant(lock));
    });
  }

  grant(lock) {
    if (lock.holder !== null || lock.queue.length === 0) {
      return;
    }
    const entry = lock.queue.shift();
    lock.holder = entry;
    Promise.resolve(entry.callback({})).then((value) => {
      if (lock.holder === entry) {
        lock.holder = null;
      }
      entry.resolve(value);
      this.grant(lock);
    });
  }
}

class Tab {
  constructor(world, { isHidden = false, random = 0.5, lag = 0, without = [] } = {}) {
    this.world = world;
    this.isHidden = isHidden;
    this.held = null; // what is to happen once a frozen tab runs again
    this.listeners = new Map();
    const tab = this;
    this.environment = {
      baseUrl: "https://chat.test/app/",
      now: () => world.time,
      random: () => random,
      isOnline: () => world.isOnline,
      isHidden: () => this.isHidden,
      setTimeout(callback, milliseconds) {
        const timer = {};
        world.timers.set(timer, { at: world.time + milliseconds, callback: () => tab.run(callback) });
        return timer;
      },
      clearTimeout: (timer) => world.timers.delete(timer),
      on: (type, listener, signal) => {
        const all = this.listeners.get(type) ?? new Set();
        this.listeners.set(type, all.add(listener));
        signal.addEventListener("abort", () => all.delete(listener));
      },
      fetch: (url, { signal }) => {
        world.checks.push(url);
        return new Promise((resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
          if (world.answersChecks) {
            resolve({});
          }
        });
      },
      locks: { request: (name, options, callback) => world.request(this, name, options, callback) },
      WebSocket: class {
        constructor(url, protocols) {
          Object.assign(this, { url, protocols, isClosed: false });
          world.sockets.push(this);
        }
        say(...messages) {
          for (const each of messages) {
            const data = typeof each === "string" ? each : JSON.stringify(each);
            tab.run(() => this.onmessage({ data }));
          }
        }
        end(code = 1006, reason = "") {
          this.isClosed = true;
          tab.run(() => this.onclose({ code, reason }));
        }
        close() {
          this.isClosed = true;
        }
      },
      BroadcastChannel: class {
        constructor(name) {
          this.name = name;
          world.channels.add(this);
        }
        postMessage(data) {
          for (const each of world.channels) {
            if (each !== this && each.name === this.name) {
              each.take(structuredClone(data));
            }
          }
        }
        take(data) {
          const deliver = () => tab.run(() => this.onmessage({ data }));
          if (lag) {
            world.timers.set({}, { at: world.time + lag, callback: deliver });
          } else {
            queueMicrotask(deliver);
          }
        }
        close() {
          world.channels.delete(this);
        }
      },
    };
    for (const name of without) {
      this.environment[name] = undefined;
    }
  }

  run(callback) {
    if (this.held) {
      this.held.push(callback);
    } else {
      callback();
    }
  }

  freeze() {
    this.held = [];
  }

  async thaw() {
    while (this.held.length) {
      this.held.shift()(); // what comes meanwhile comes after what is held
      await settle();
    }
    this.held = null;
  }

  // Ends without a word, as a browser ends a tab that crashes: its locks are free, and nothing runs in it any more.
  crash() {
    this.freeze();
    for (const lock of this.world.locks.values()) {
      lock.queue = lock.queue.filter((each) => each.tab !== this);
      if (lock.holder?.tab === this) {
        lock.holder = null;
        this.world.grant(lock);
      }
    }
  }

  fire(type, event = {}) {
    for (const listener of this.listeners.get(type) ?? []) {
      listener(event);
    }
  }

  async show(isShown) {
    this.isHidden = !isShown;
    this.fire("visibilitychange");
    await settle();
  }
}
