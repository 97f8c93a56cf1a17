// Wires the page: what the client knows into words, words into the view. The server made the page; until the client
// knows better, and where it says the same, what is there stays as it is.

import { AvailabilityClient } from "./sdk/index.js";
import { Past } from "./past.js";
import { View } from "./view.js";
import * as words from "./words.js";

const view = new View();
const past = new Past((incidents) => view.dropEventsOf(incidents));
let ahead = null; // how far this computer's clock is ahead of the server's, in milliseconds; null until known
let isLossShown = false;
let isFirst = true;

// A page of its own that is there to be looked at, also from the corner of an eye: it shares nothing and never pauses.
const client = new AvailabilityClient("ws/status", { share: false, pauseHidden: false, heartbeatMs: 10_000 });

client.addEventListener("notice", ({ detail }) => {
  const { kind, at, service, features, text, lang, isFound, isLocal, incident } = detail;
  const affects = features.map((feature) => ({ title: words.title(feature), status: feature.status }));
  const title = words.title(service);
  if (!isFound) {
    noteClock(at);
  } else if (isFirst) {
    return; // the page that the server made told it
  }
  const said = text ? { text, lang } : { text: words.becameText(service) };
  tell({ kind, title, at, ...said, affects, before: isFound, local: isLocal, incident });
  past.renewSoon();
});

client.addEventListener("feed", ({ detail: { kind, at, feed } }) => {
  noteClock(at);
  tell({ kind, at, text: words.feedWord(feed), affects: [] });
});

for (const type of ["welcome", "waiting", "snapshot"]) {
  client.addEventListener(type, ({ detail }) => noteClock(detail.at));
}

function tell(event) {
  view.addEvent(event);
  if (!isFirst) {
    view.announce(event.text);
  }
}

// A message is never younger than it says, so the smallest difference seen is the best guess at the clocks' offset.
// A welcome may have been prepared a while ago; it counts only where nothing better is known.
function noteClock(at) {
  const difference = Date.now() - Date.parse(at);
  if (!Number.isNaN(difference)) {
    ahead = ahead === null ? difference : Math.min(ahead, difference);
  }
}

function show() {
  const now = Date.now();
  const isConnected = client.connection === "open";
  const isLost = !isConnected && client.isFeedLost;
  if (isLost !== isLossShown) {
    isLossShown = isLost;
    noteLoss(isLost, now);
  }
  showOverall(isLost, now);
  showFreshness(isLost);
  if (client.isLoaded) {
    view.showBoard(client);
  }
  view.fade(isLost);
  view.tick(now - (ahead ?? 0));
  if (isFirst && client.isLoaded) {
    isFirst = false;
    view.announce(words.overall(client).headline);
  }
}

function showOverall(isLost, now) {
  if (client.connection === "outdated") {
    view.showOverall({
      level: "unknown",
      headline: "This page is out of date",
      subline: "The server speaks a newer language. Please reload the page.",
    });
  } else if (isLost) {
    view.showOverall({
      level: "unknown",
      headline: "Connection to the server lost",
      subline: `What you see is from ${words.span((now - client.lastGood) / 1000)} ago.`,
    });
  } else if (client.isLoaded) {
    view.showOverall(words.overall(client));
  }
}

function showFreshness(isLost) {
  if (!isLost && !client.isLoaded) {
    return; // what the server said of it
  }
  if (!isLost) {
    view.showFreshness(client.feed, words.feedWord(client.feed), { canRetry: false });
  } else if (client.connection === "ended") {
    view.showFreshness("gone", "The server ended the connection", { canRetry: true });
  } else {
    view.showFreshness("gone", "Reconnecting…", { canRetry: ["waiting", "offline"].includes(client.connection) });
  }
}

function noteLoss(isLost, now) {
  const text = isLost ? "Connection to the server lost." : "Connected to the server again.";
  const at = new Date((isLost ? client.lastGood : now) - (ahead ?? 0)).toISOString();
  view.addEvent({ kind: "link", at, text, affects: [] });
  view.announce(text);
}

view.onRetry(() => client.reconnect());
client.addEventListener("change", show);
setInterval(show, 1000);
client.connect();
