// What the client needs of the browser, in one place. Tests put a clock and sockets of their own here.

/** @returns {import("./index.js").Environment} */
export function browserEnvironment() {
  const { document, navigator } = globalThis;
  return {
    WebSocket: globalThis.WebSocket,
    BroadcastChannel: globalThis.BroadcastChannel,
    locks: navigator?.locks,
    fetch: (url, options) => globalThis.fetch(url, options),
    setTimeout: (callback, milliseconds) => globalThis.setTimeout(callback, milliseconds),
    clearTimeout: (timer) => globalThis.clearTimeout(timer),
    now: () => Date.now(),
    random: () => Math.random(),
    isOnline: () => navigator?.onLine !== false,
    isHidden: () => document?.hidden === true,
    baseUrl: document?.baseURI,
    on(type, listener, signal) {
      const target = type === "visibilitychange" ? document : globalThis;
      target?.addEventListener?.(type, listener, { signal });
    },
  };
}
