// What is shown, from what has been going on. No DOM and no clock: the same story at the same time is the same view.

import { isFlapping } from "./story.js";

const LISTED = 3; // of so many things that work, each is named
// What the reader dismissed is shown again once it is worse than that.
const WORSE = ["planned", "queued", "degraded", "down", "lost", "refused", "offline", "blocked", "outdated"];
const LEVELS = { down: "down", refused: "down", blocked: "down", planned: "planned", outdated: "planned", recovered: "up" };
const ACTIONS = { lost: "retry", refused: "retry", outdated: "reload" };

/**
 * What to show of ``state`` (everything that story.js's ``look`` gives, and the ``story``).
 * @param {object} state
 * @param {{words: import("./words.js").Words, mode?: string | null, isOpen?: boolean, focused?: string,
 *   dismissed: Record<string, {at: number, rank: number}>}} options
 * @param {number} now
 * @returns {import("./index.js").View}
 */
export function present(state, { words, mode, isOpen, focused, dismissed }, now) {
  const isBlocked = state.sending === "blocked";
  const entries = [...state.story.values()].filter(({ isFolded }) => !isFolded).sort((one, other) => rank(other) - rank(one));
  const worst = entries.find(({ endedAt }) => !endedAt);
  const shown = entries.filter((entry) => {
    const { at, rank: then } = dismissed[entry.key] ?? {};
    return (isBlocked && entry === worst) || !(Math.min(entry.began, entry.since) <= at && rank(entry) <= then);
  });
  const bearer = shown.find(({ endedAt }) => !endedAt); // says what happens to messages
  if (mode === "line") {
    shown.sort((one, other) => one.began - other.began);
  }
  const lines = shown.map((entry) => lineOf(entry, entry === bearer && state.sending, state, words, now));
  const inSight = lines.filter(({ key }, index) => mode === "line" || isOpen || !index || key === focused);
  const count = lines.length - inSight.length;
  const more = count ? words.say("more", { count }) : isOpen && mode !== "line" && lines[1] ? words.say("fewer") : "";
  return { lines, inSight, more };
}

function rank({ kind, service }) {
  return WORSE.indexOf(kind) + (service && service.criticality !== "optional" ? 0.5 : 0);
}

function lineOf(entry, sending, state, words, now) {
  const { key, names, began, endedAt, service } = entry;
  const kind = isFlapping(entry, now) ? "flapping" : endedAt ? "recovered" : entry.kind;
  const isBlocked = sending === "blocked";
  const headline = headlineOf(entry, kind, state, words);
  return {
    key,
    incident: entry.incident || `${names[0] ?? key} ${new Date(began).toISOString()}`,
    services: names,
    kind,
    level: LEVELS[kind] ?? "degraded",
    label: service ? words.say(`${kind === "flapping" ? "degraded" : kind}Label`) : "",
    headline,
    details: endedAt ? [] : detailsOf(entry, headline.text, state, words),
    sending: sending && key !== "sending" ? words.say(sending) : "",
    when: endedAt ? "" : whenOf(entry, state, words, now),
    action: (!endedAt && ACTIONS[kind]) || "",
    isBlocked,
    isDismissable: !isBlocked && entry.kind !== "outdated",
    rank: rank(entry),
  };
}

function headlineOf({ kind: was, service, endedAt }, kind, { said, skew }, words) {
  if (!service) {
    return own(words.say(kind === "recovered" ? `${was}Over` : kind === "flapping" ? "unsteady" : kind));
  }
  const { text, lang, service: then } = said.get(service.name) ?? {};
  const isApt = kind !== "flapping" && kind !== "planned" && then?.status === (endedAt ? "up" : service.status);
  return (isApt && theirs(text, lang, words)) || own(words.say(kind, valuesOf([service], words, skew)));
}

function detailsOf({ kind, names, service }, headline, { refusal, features, skew }, words) {
  const { planned } = service ?? {};
  const plan = planned?.has_begun && kind !== "planned" && own(words.say("planned", valuesOf([service], words, skew)));
  const why = planned && { text: planned.reason, lang: "" }; // an operator's words, in whichever language
  const reason =
    kind === "refused" &&
    (theirs(refusal.text, refusal.lang, words) ?? own(words.say("down", valuesOf(refusal.services, words, skew))));
  const hint = own(words.say(`${kind}Hint`));
  const affected = service && kind !== "planned" ? affectedOf(features, names, headline, words) : [];
  return [reason, hint, ...affected, plan, why].filter((each) => each?.text);
}

// What these services take from the reader, and what they leave: in the server's words, if it speaks the language.
function affectedOf(features, names, headline, words) {
  const hit = features.filter(
    ({ status, because }) => /^(limited|unavailable)$/.test(status) && because?.some((name) => names.includes(name)),
  );
  const works = features.filter(({ status }) => status === "available");
  const told = hit.map(({ text, lang }) => theirs(text, lang, words));
  const some = told.every(Boolean) ? told : [own(words.say("affected", valuesOf(hit, words)))];
  const isRest = works.length + hit.length === features.length && (works.length > LISTED || !hit.length);
  const rest = works.length > 0 && own(isRest ? words.say("rest") : hit.length ? words.say("works", valuesOf(works, words)) : "");
  return [...some.filter(({ text }) => !headline.includes(text)), rest];
}

// Since when, or when the next attempt is due.
function whenOf({ kind, key, since }, { retryAt }, words, now) {
  if (kind === "refused") {
    return words.say("retryIn", { when: words.relative(Math.max(0, retryAt - now)) });
  }
  return /planned|outdated|sending/.test(kind + key) ? "" : words.relative(Math.min(0, since - now));
}

function valuesOf(views, words, skew) {
  const title = words.list(views.map(({ title, name }) => title || name));
  return { title, count: views.length, span: words.span(views[0]?.planned, skew) };
}

function own(text) {
  return { text };
}

function theirs(text, lang, words) {
  return text && words.speaks(lang) ? { text, lang: lang || "en" } : null;
}
