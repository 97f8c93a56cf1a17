// When to come back after a close. Pure; the same rules and vectors as the server's catalogue.

export const RETRY_MIN_MS = 500;
export const RETRY_MAX_MS = 20_000;
const ASKED_MAX_MS = 3_600_000; // a timer overflows beyond 24 days and would fire at once

const FINAL = [1000, 1002, 1007, 1009];

/**
 * Whether reconnecting cannot help after this close code.
 * @param {number} code
 */
export function isFinal(code) {
  return FINAL.includes(code) || (code >= 3500 && code <= 3999);
}

/**
 * Full jitter: anywhere between the least and what the number of failures in a row allows, in milliseconds.
 * @param {number} failures
 * @param {() => number} [random]
 */
export function retryDelay(failures, random = Math.random) {
  const most = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 10));
  return RETRY_MIN_MS + random() * (most - RETRY_MIN_MS);
}

/**
 * What a server asked for with ``retry_after_ms``, or null where it asked for nothing that makes sense.
 * @param {unknown} milliseconds
 */
export function askedDelay(milliseconds) {
  return typeof milliseconds === "number" && milliseconds > 0 ? Math.min(milliseconds, ASKED_MAX_MS) : null;
}
