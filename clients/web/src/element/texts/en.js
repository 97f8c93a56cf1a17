// What the element says in English. Every catalogue has these keys; {names} are filled in. A message in several forms has
// one for each plural category of the language (Intl.PluralRules), of which "other" always is.

export default {
  name: "Service notices",
  dismiss: "Dismiss",
  reload: "Reload page",
  retry: "Try now",
  more: { one: "{count} more notice", other: "{count} more notices" },
  fewer: "Show fewer",

  downLabel: "Outage",
  degradedLabel: "Disruption",
  plannedLabel: "Planned work",
  recoveredLabel: "Resolved",

  down: { one: "{title} is unavailable.", other: "{title} are unavailable." },
  degraded: "{title} is slow or unreliable.",
  flapping: "{title} keeps coming and going.",
  planned: "Planned work on {title}: {span}.",
  offline: "You are offline.",
  offlineHint: "This device has no network. What you see may be out of date.",
  lost: "We have lost the live status of our services.",
  lostHint: "We keep trying to get it back. What you see may be out of date.",
  refused: "You cannot be connected right now.",
  outdated: "This page is too old for our server.",
  outdatedHint: "Reload it to go on.",
  unsteady: "The connection keeps coming and going.",

  recovered: "{title} is back to normal.",
  offlineOver: "You are online again.",
  lostOver: "Live status is back.",
  refusedOver: "You are connected again.",
  queuedOver: "You can send messages again.",
  blockedOver: "You can send messages again.",

  affected: "Affected: {title}.",
  works: "Still working: {title}.",
  rest: "Everything else works.",
  ok: "Your messages are sent as usual.",
  queued: "Your messages are kept and sent as soon as this is over.",
  blocked: "You cannot send messages right now. Your draft is kept.",
  retryIn: "Trying again {when}",
};
