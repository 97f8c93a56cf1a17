// What the page says, from what it knows: the same, to the letter, as the server says of the same views
// (broadcaster/node/pages/words.py), so that a page that comes alive changes nothing. No DOM; the clock is passed in.

const STATUS_WORDS = {
  up: "Up",
  degraded: "Degraded",
  down: "Down",
  available: "Available",
  limited: "Limited",
  unavailable: "Unavailable",
};

const FEATURE_LEVELS = { available: "up", limited: "degraded", unavailable: "down" };

const REASONS = {
  refused: "does not accept connections",
  reset: "breaks connections off",
  timeout: "does not answer in time",
  dns: "cannot be found",
  tls: "cannot be reached securely",
  unreachable: "cannot be reached",
  bad_response: "answers wrongly",
  server_error: "reports an error",
  overloaded: "is overloaded",
  quota: "is limited, as many requests are being made",
  slow: "answers slowly",
  loading: "is starting up",
  read_only: "takes no changes",
  replication: "has copies that disagree",
  recovering: "is recovering",
  internal: "is affected by a problem on our side",
};

const FEED_WORDS = {
  pending: "Waiting for the server",
  live: "Live",
  unwatched: "Status is not being watched – what you see may be out of date",
  lost: "This server has lost its source of status – what you see may be out of date",
};

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export function title(view) {
  return view.title || view.name;
}

export function statusWord(status) {
  return STATUS_WORDS[status] ?? "Not known";
}

export function levelOf(status) {
  return ["up", "degraded", "down"].includes(status) ? status : (FEATURE_LEVELS[status] ?? "unknown");
}

export function feedWord(feed) {
  return FEED_WORDS[feed] ?? FEED_WORDS.unwatched;
}

export function serviceDetail(service) {
  const kind = service.criticality === "optional" ? "Optional" : "Required";
  const reason = service.status === "down" || service.status === "degraded" ? REASONS[service.category] : undefined;
  const state = service.status === "unknown" ? "not observed lately" : reason;
  return [kind, state, plannedText(service.planned)].filter(Boolean).join(" · ");
}

// Planned work that is on, or when the next is.
function plannedText(planned) {
  const until = moment(planned?.until);
  if (!until) {
    return "";
  }
  const reason = planned.reason ? `: ${planned.reason}` : "";
  const when = planned.has_begun ? `until ${until}` : `from ${moment(planned.starts_at)} to ${until}`;
  return `planned work ${when}${reason}`;
}

// A time as everybody reads it, wherever they are: "26 Nov, 14:05 UTC".
export function moment(text) {
  const at = new Date(text ?? Number.NaN);
  if (Number.isNaN(at.getTime())) {
    return "";
  }
  const [hours, minutes] = [at.getUTCHours(), at.getUTCMinutes()].map((each) => String(each).padStart(2, "0"));
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}, ${hours}:${minutes} UTC`;
}

export function featureDetail(feature, services) {
  if (feature.status === "available") {
    return "Works";
  }
  const cause = listed(causes([feature], services).filter((each) => each !== title(feature)));
  const text = feature.text || "Not known right now.";
  return cause ? `${text} Cause: ${cause}.` : text;
}

// What became of a service, where the server sent no words for it.
export function becameText(service) {
  switch (service.status) {
    case "up":
      return `${title(service)}: back to normal.`;
    case "degraded":
      return `${title(service)}: slow or unreliable.`;
    case "down":
      return `${title(service)}: unavailable.`;
    default:
      return `${title(service)}: not observed lately, so its state is not known.`;
  }
}

// The state of everything in one line and a half: {level, headline, subline}.
export function overall(replica) {
  const { level, headline, subline } = judged(replica);
  const worked = [...replica.services.values()].filter((each) => each.planned?.has_begun);
  const planned = worked.length ? `Planned work on ${listed(worked.map(title))}.` : "";
  return { level, headline, subline: [subline, planned].filter(Boolean).join(" ") };
}

function judged(replica) {
  const services = [...replica.services.values()];
  const features = [...replica.features.values()];
  const having = (status) => features.filter((feature) => feature.status === status);
  const unavailable = having("unavailable");
  const limited = having("limited");
  const unknown = having("unknown");
  const level = services.some((each) => each.status === "down" && each.criticality !== "optional") ? "down" : "degraded";
  if (unavailable.length || limited.length) {
    const worst = unavailable.length ? unavailable : limited;
    const sentences = [];
    const cause = listed(causes(worst, services).filter((each) => !worst.some((feature) => title(feature) === each)));
    if (cause) {
      sentences.push(`Cause: ${cause}.`);
    }
    if (unavailable.length && limited.length) {
      sentences.push(`Limited: ${listed(limited.map(title))}.`);
    }
    if (unknown.length) {
      sentences.push(`Not known: ${listed(unknown.map(title))}.`);
    }
    if (unavailable.length + limited.length + unknown.length < features.length) {
      sentences.push("Everything else works.");
    }
    const all = unavailable.length === features.length && features.length > 1;
    const words = unavailable.length ? `${listed(worst.map(title))} unavailable` : `Problems with ${listed(worst.map(title))}`;
    return { level, headline: all ? "Nothing works right now" : words, subline: sentences.join(" ") };
  }
  const unwell = services.filter((each) => each.status === "down" || each.status === "degraded");
  if (unwell.length) {
    const still = features.length && !unknown.length ? "Everything you use still works." : "";
    return { level, headline: `Problems with ${listed(unwell.map(title))}`, subline: still };
  }
  const unobserved = services.filter((each) => each.status !== "up");
  if (replica.feed !== "live") {
    const seen = unobserved.length ? "Some services have not been observed lately." : "When last seen, everything worked.";
    const lost = replica.feed === "lost" ? "Status cannot be followed right now" : "Status is not being watched";
    return { level: "unknown", headline: lost, subline: seen };
  }
  if (unobserved.length || !services.length) {
    const some = unobserved.length < services.length;
    return {
      level: "unknown",
      headline: some ? `Not known: ${listed(unobserved.map(title))}` : "Nothing is known yet",
      subline: some ? "Not observed lately. Everything else works." : "The first observations are on their way.",
    };
  }
  return { level: "up", headline: "All systems operational", subline: "Everything works as it should." };
}

export function listed(titles) {
  return titles.length < 2 ? titles.join("") : `${titles.slice(0, -1).join(", ")} and ${titles.at(-1)}`;
}

// A span of time in the largest unit that fits: "12 s", "3 min", "2 h", "5 days".
export function span(seconds) {
  if (seconds < 60) {
    return `${Math.max(0, Math.floor(seconds))} s`;
  }
  if (seconds < 3600) {
    return `${Math.floor(seconds / 60)} min`;
  }
  if (seconds < 48 * 3600) {
    return `${Math.floor(seconds / 3600)} h`;
  }
  return `${Math.floor(seconds / 86400)} days`;
}

export function ago(seconds) {
  return seconds < 5 ? "just now" : `${span(seconds)} ago`;
}

function causes(features, services) {
  const titles = new Map([...services.values()].map((service) => [service.name, title(service)]));
  return [...new Set(features.flatMap((feature) => feature.because ?? []))].map((name) => titles.get(name) ?? name);
}
