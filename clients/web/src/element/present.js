// What is shown, from what has been going on. No DOM and no clock: the same story at the same time is the same view.

import { isFlapping } from "./story.js";

const WORSE = ["planned", "queued", "degraded", "down", "lost", "refused", "offline", "blocked", "outdated"];
const LEVELS = { down: "down", refused: "down", blocked: "down", planned: "planned", outdated: "planned", recovered: "up" };
const ACTIONS = { lost: "retry", refused: "retry", outdated: "reload" };

/**
 * What to show of ``state`` (see story.js) with its ``story``. ``dismissed`` has by key when, and how bad it was then.
 * @returns {import("./index.js").Line[]}
 */
export function present(state, { words, mode, dismissed }, now) {
  const entries = [...state.story.values()].filter(({ isFolded }) => !isFolded).sort((one, other) => rank(other) - rank(one));
  const worst = entries.find(({ endedAt }) => !endedAt);
  const shown = entries.filter((entry) => {
    const then = dismissed[entry.key];
    const isDismissed = Math.min(entry.began, entry.since) <= then?.at && rank(entry) <= then.rank; // and no worse since
    return (state.sending === "blocked" && entry === worst) || !isDismissed;
  });
  const bearer = shown.find(({ endedAt }) => !endedAt); // says what happens to messages
  if (mode === "line") {
    shown.sort((one, other) => one.began - other.began);
  }
  return shown.map((entry) => lineOf(entry, entry === bearer && state.sending, state, words, now));
}

function rank({ kind, service }) {
  return WORSE.indexOf(kind) + (service && service.criticality !== "optional" ? 0.5 : 0);
}

function lineOf(entry, sending, { client, said, skew }, words, now) {
  const { key, kind: was, incident, names, since, endedAt, service } = entry;
  const kind = isFlapping(entry, now) ? "flapping" : endedAt ? "recovered" : was;
  const isBlocked = sending === "blocked";
  let headline;
  let details;
  if (!service) {
    headline = words.say({ flapping: "unsteady", recovered: `${was}Over` }[kind] ?? kind);
    details = [/offline|lost/.test(kind) && words.say("hint")];
  } else if (kind === "planned") {
    const { starts_at: from, until, reason } = service.planned;
    headline = titled(kind, [service], words, words.span(Date.parse(from) - skew, Date.parse(until) - skew));
    details = [reason];
  } else {
    const last = said.get(service.name);
    const isApt = kind !== "flapping" && last?.service.status === (endedAt ? "up" : service.status);
    headline = (isApt && theirs(last, words)) || titled(kind, [service], words);
    details = affectedBy(names, client, words);
  }
  if (kind === "refused") {
    details = [theirs(client.refusal, words) || titled("down", client.refusal.services, words)];
  }
  return {
    key,
    incident: incident ?? key,
    services: names,
    kind,
    level: LEVELS[kind] ?? "degraded",
    label: words.say(`${kind === "flapping" ? "degraded" : kind}Label`),
    headline,
    details: endedAt ? [] : details.filter((text) => text && !headline.includes(text)),
    sending: words.say(key !== "sending" && sending),
    when: endedAt ? "" : whenOf(was, since, client.retryAt, words, now),
    action: (!endedAt && ACTIONS[kind]) || "",
    isBlocked,
    isDismissable: !isBlocked && was !== "outdated",
    rank: rank(entry),
  };
}

// What these services take from the reader, and what they leave.
function affectedBy(names, client, words) {
  const features = [...client.features.values()];
  const isHit = ({ status, because }) => /limited|unavailable/.test(status) && because?.some((name) => names.includes(name));
  const hit = features.filter(isHit);
  const works = features.filter(({ status }) => status === "available");
  const told = hit.map((each) => theirs(each, words));
  const left = works.length + hit.length < features.length ? titled("works", works, words) : words.say("rest");
  return [...(told.every(Boolean) ? told : [titled("affected", hit, words)]), works.length && left];
}

// Since when, or when the next attempt is due.
function whenOf(kind, since, retryAt, words, now) {
  if (kind === "refused") {
    return words.say("retryIn", { when: words.relative(Math.max(0, retryAt - now)) });
  }
  return /planned|outdated|queued|blocked/.test(kind) ? "" : words.relative(Math.min(0, since - now));
}

function titled(message, views, words, span) {
  return words.say(message, { title: words.list(views.map(({ title, name }) => title || name)), count: views.length, span });
}

// The server's words, if it speaks the reader's language.
function theirs({ text, lang = "en" }, words) {
  return words.speaks(lang) ? text : "";
}
