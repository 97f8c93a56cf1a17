// What has been going on, from one look at the client to the next: what began, what ended, what comes and goes.
//
// No DOM and no clock: the time is passed in, and each step makes a new story. A story is a Map of entries by key; an
// entry outlives its end for a while, so that the same again is known for the same.
//
// A state is what is told from: the ``client``, ``services`` (those of the client's that are wanted), ``said`` (the last
// happening of each service by name), ``sending``, and ``skew``, how far the server's clock is ahead.

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

/** The story after one more look. What is over stays until ``heldUntil``, as somebody is at it. */
export function follow(story, state, now, heldUntil = 0) {
  const next = new Map();
  for (const [key, trouble] of troubles(state, now)) {
    const before = story.get(key) ?? { endedAt: 1 };
    const lostAt = trouble.isTrying && (before.lostAt || now);
    const isNew = before.endedAt > 0;
    const since = trouble.since || (isNew ? now : before.since);
    const { isAgain, changedAt } = isNew ? { isAgain: before.endedAt > 1, changedAt: now } : before;
    const going = { ...trouble, since, began: before.began ?? since, isAgain, changedAt, endedAt: 0, isFolded: false };
    next.set(key, { ...(now - lostAt < SETTLE_MS ? { ...before, isFolded: isNew } : going), key, lostAt });
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
function end(before, { client: { standing }, services }, now) {
  const { key, kind, names } = before;
  const isConnection = key === "connection";
  if (isConnection && standing === "connecting") {
    return before;
  }
  const isWell = isConnection || services.some(({ name, status }) => name === names[0] && status === "up");
  return isWell && !/planned|outdated/.test(kind) && { ...before, isAgain: isFlapping(before, now), changedAt: now, endedAt: now };
}

function fade(before, now, heldUntil) {
  const foldsAt = Math.max(before.endedAt + FOLD_MS + (before.isAgain ? CALM_MS : 0), heldUntil);
  return now - before.endedAt < AGAIN_MS && { ...before, isFolded: before.isFolded || now >= foldsAt };
}

// What is not well now, by key: the connection, services, plans, and else what only the application knows of sending.
function troubles({ client: { standing, connection, lastGood }, services, said, sending, skew }, now) {
  const found = new Map();
  const isRefused = standing === "refused";
  if (isRefused || /outdated|offline|lost/.test(standing)) {
    const isTrying = standing === "lost" && !/open|ended/.test(connection);
    found.set("connection", { kind: standing, since: !isRefused && lastGood, isTrying, names: [] });
  }
  const failing = services.filter((each) => isUnwell(each) && !(isRefused && each.criticality !== "optional"));
  const incidentOf = ({ name }) => said.get(name)?.incident || name;
  for (const service of failing) {
    const same = failing.filter(({ name }) => service.caused_by?.includes(name));
    const lead = same[0] ?? failing.find((each) => incidentOf(each) === incidentOf(service) && !each.caused_by?.length) ?? service;
    const key = `service ${lead.name}`;
    const { kind, names = [lead.name] } = found.get(key) ?? {}; // what fails together is one
    found.set(key, {
      kind: kind === "down" ? kind : service.status,
      names: [...new Set([...names, service.name])],
      service: lead,
      since: Date.parse(lead.since) - skew,
      incident: incidentOf(lead),
    });
  }
  for (const service of services) {
    const start = service.planned?.starts_at;
    if (!isUnwell(service) && Date.parse(start) - skew - now < AHEAD_MS) {
      found.set(`plan ${service.name} ${start}`, { kind: "planned", names: [service.name], service, since: 1 });
    }
  }
  if (!found.size && /queued|blocked/.test(sending)) {
    found.set("sending", { kind: sending, names: [] });
  }
  return found;
}
