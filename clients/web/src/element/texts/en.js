// What the element says in English. Every catalogue has these keys; {names} are filled in. A message in several forms has
// one for each plural category of the language (Intl.PluralRules), of which "other" always is.

export default {
  dir: "ltr",
  name: "Service notices",
  dismiss: "Dismiss",
  reload: "Reload page",
  retry: "Try now",

  downLabel: "Outage",
  degradedLabel: "Disruption",
  plannedLabel: "Planned work",
  recoveredLabel: "Resolved",

  down: { one: "{title} is unavailable.", other: "{title} are unavailable." },
  degraded: "{title} is slow or unreliable.",
  flapping: "{title} keeps coming and going.",
  planned: "{title}: {span}.",
  offline: "You are offline.",
  lost: "We have lost the live status of our services.",
  hint: "What you see may be out of date.",
  refused: "You cannot connect right now.",
  outdated: "This page is out of date. Please reload it.",
  unsteady: "The connection keeps coming and going.",

  recovered: "{title} is back to normal.",
  offlineOver: "You are online again.",
  lostOver: "Live status is back.",
  refusedOver: "You are connected again.",

  affected: "Affected: {title}.",
  works: "Still working: {title}.",
  rest: "Everything else works.",
  ok: "Your messages are sent as usual.",
  queued: "Your messages are kept and sent later.",
  blocked: "You cannot send messages right now. Your draft is kept.",
  retryIn: "Trying again {when}",
};
