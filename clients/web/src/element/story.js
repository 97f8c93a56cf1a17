// What has been going on, from one look at the client to the next: what began, what ended, what comes and goes.
//
// No DOM and no clock: the time is passed in, and each step makes a new story. A story is a Map of entries by key; an
// entry outlives its end for a while, so that the same again is known for the same.

import { isUnwell } from "../replica.js";

/** How long a recovery stays in sight. */
export const FOLD_MS = 8_000;
/** What fails again within this time comes and goes. */
export const AGAIN_MS = 600_000;
/** What stays as it is for so long does not come and go any more. */
export const CALM_MS = 60_000;
/** How long a connection may take to come back before that is worth a word. */
export const SETTLE_MS = 5_000;
/** Planned work is told so long before it begins. */
export const AHEAD_MS = 86_400_000;

/**
 * Everything that is told from, taken from a client at one moment. ``said`` has the last happening of each service by
 * name, ``only`` the names of the services to tell of (empty for all), ``skew`` is how far the server's clock is ahead.
 */
export function look(client, { said, sending, only, skew }) {
  const { standing, connection, refusal, retryAt, lastGood } = client;
  const services = [...client.services.values()].filter(({ name }) => !only.length || only.includes(name));
  const features = [...client.features.values()];
  return { standing, connection, refusal, retryAt, lastGood, services, features, said, sending, skew };
}

/** The story after one more look. What is over stays until ``heldUntil``, as somebody is at it. */
export function follow(story, state, now, heldUntil = 0) {
  const next = new Map();
  for (const [key, trouble] of troubles(state, now)) {
    const before = story.get(key) ?? { endedAt: 1, isFolded: true };
    const isNew = before.endedAt > 0;
    const lostAt = trouble.isTrying && (before.lostAt || now);
    if (now - lostAt < SETTLE_MS) {
      next.set(key, { ...before, key, lostAt });
      continue;
    }
    const since = trouble.since || (isNew ? now : before.since);
    const began = before.began ?? since;
    const { isAgain, changedAt } = isNew ? { isAgain: before.endedAt > 1, changedAt: now } : before;
    next.set(key, { ...trouble, key, since, began, isAgain, changedAt, lostAt, endedAt: 0, isFolded: false });
  }
  for (const [key, before] of story) {
    const after = !next.has(key) && (before.endedAt ? fade(before, now, heldUntil) : end(before, state, now));
    if (after) {
      next.set(key, after);
    }
  }
  return next;
}

export function isFlapping({ isAgain, changedAt }, now) {
  return isAgain && now - changedAt < CALM_MS;
}

// Nothing where it is not over, but only out of sight: the service is not told of any more, or another explains it now.
function end(before, { standing, sending, services }, now) {
  const { key, kind, names } = before;
  if (key === "connection" && standing === "connecting") {
    return before;
  }
  const isWell = {
    connection: ["degraded", "unknown", "well"].includes(standing), // the server itself says how things are
    sending: sending === "ok",
  }[key] ?? services.some(({ name, status }) => name === names[0] && status === "up");
  const isTold = isWell && kind !== "planned" && kind !== "outdated";
  return isTold && { ...before, isAgain: isFlapping(before, now), changedAt: now, endedAt: now };
}

function fade(before, now, heldUntil) {
  const foldsAt = Math.max(before.endedAt + FOLD_MS + (before.isAgain ? CALM_MS : 0), heldUntil);
  return now - before.endedAt < AGAIN_MS && { ...before, isFolded: before.isFolded || now >= foldsAt };
}

// What is not well now, by key: the connection, services, plans, and else what only the application knows of sending.
function troubles({ standing, connection, lastGood, services, said, sending, skew }, now) {
  const found = new Map();
  if (["outdated", "offline", "lost", "refused"].includes(standing)) {
    const isTrying = standing === "lost" && connection !== "open" && connection !== "ended";
    found.set("connection", { kind: standing, since: standing !== "refused" && lastGood, isTrying, names: [] });
  }
  const failing = services.filter((each) => isUnwell(each) && (standing !== "refused" || each.criticality === "optional"));
  for (const service of failing) {
    const incident = said.get(service.name)?.incident;
    const isCause = ({ name }, of) => of.caused_by?.includes(name);
    const same = failing.filter((each) => isCause(each, service) || (incident && said.get(each.name)?.incident === incident));
    const lead = same.find((each) => !same.some((other) => isCause(other, each))) ?? service; // of what fails together
    const key = `service ${lead.name}`;
    const group = found.get(key) ?? { kind: "degraded", names: [lead.name], service: lead };
    found.set(key, {
      ...group,
      kind: service.status === "down" ? "down" : group.kind,
      names: [...new Set([...group.names, service.name])],
      since: Date.parse(lead.since) - skew,
      incident: said.get(lead.name)?.incident,
    });
  }
  for (const service of services) {
    const start = service.planned?.starts_at;
    if (!isUnwell(service) && Date.parse(start) - skew - now < AHEAD_MS) {
      found.set(`plan ${service.name} ${start}`, { kind: "planned", names: [service.name], service, since: 1 });
    }
  }
  if (!found.size && (sending === "queued" || sending === "blocked")) {
    found.set("sending", { kind: sending, names: [] });
  }
  return found;
}
