// Wires the page: messages from the link into the replica, what is known into words, words into the view.

import { Link } from "./link.js";
import { Replica, VERSION } from "./replica.js";
import { View } from "./view.js";
import * as words from "./words.js";

const LOSS_SHOWN_AFTER_MS = 5_000;

const replica = new Replica();
const view = new View();
let ahead = null; // how far this computer's clock is ahead of the server's, in milliseconds; null until known
let isLossShown = false;
let isTooOld = false;

const socketUrl = new URL("ws/status", document.baseURI);
socketUrl.protocol = socketUrl.protocol === "https:" ? "wss:" : "ws:";

const link = new Link({
  url: socketUrl.href,
  checkUrl: new URL("livez", document.baseURI).href,
  onMessage: take,
  onChange: show,
});

function take(data) {
  let message;
  try {
    message = JSON.parse(data);
  } catch {
    return;
  }
  if (typeof message !== "object" || message === null) {
    return;
  }
  if (message.v > VERSION) {
    isTooOld = true;
    show();
    return;
  }
  noteClock(message);
  if (message.type === "goodbye" || message.type === "rejected") {
    link.retryAfter(message.retry_after_ms || null);
    return;
  }
  const isFirst = !replica.isLoaded;
  const happened = replica.apply(message);
  for (const each of happened) {
    const text = each.kind === "feed" ? words.feedWord(each.feed) : each.text;
    view.addEvent({ ...each, text });
    if (!isFirst) {
      view.announce(text);
    }
  }
  show();
  if (isFirst && replica.isLoaded) {
    view.announce(words.overall(replica).headline);
  }
}

// A message is never younger than it says, so the smallest difference seen is the best guess at the clocks' offset.
// A welcome may have been prepared a while ago; it counts only where nothing better is known.
function noteClock(message) {
  const difference = Date.now() - Date.parse(message.at);
  if (!Number.isNaN(difference)) {
    ahead = ahead === null ? difference : Math.min(ahead, difference);
  }
}

function show() {
  const now = Date.now();
  const isConnected = link.state === "open";
  const isLost = !isConnected && now - link.lastGood >= LOSS_SHOWN_AFTER_MS;
  if (isLost !== isLossShown) {
    isLossShown = isLost;
    noteLoss(isLost, now);
  }
  showOverall(isLost, now);
  showFreshness(isLost);
  if (replica.isLoaded) {
    view.showBoard(replica, isLost);
  }
  view.tick(now - (ahead ?? 0));
}

function showOverall(isLost, now) {
  if (isTooOld) {
    view.showOverall({
      level: "unknown",
      headline: "This page is out of date",
      subline: "The server speaks a newer language. Please reload the page.",
    });
  } else if (isLost && replica.isLoaded) {
    view.showOverall({
      level: "unknown",
      headline: "Connection to the server lost",
      subline: `What you see is from ${words.span((now - link.lastGood) / 1000)} ago.`,
    });
  } else if (replica.isLoaded) {
    view.showOverall(words.overall(replica));
  } else {
    view.showOverall({
      level: "pending",
      headline: isLost ? "The server does not answer" : "Connecting…",
      subline: isLost ? "This page goes on trying." : "",
    });
  }
}

function showFreshness(isLost) {
  if (!isLost) {
    const text = replica.isLoaded ? words.feedWord(replica.feed) : words.feedWord("pending");
    view.showFreshness(replica.feed, text, { canRetry: false });
  } else if (link.state === "ended") {
    view.showFreshness("gone", "The server ended the connection", { canRetry: true });
  } else {
    view.showFreshness("gone", "Reconnecting…", { canRetry: link.state === "waiting" });
  }
}

function noteLoss(isLost, now) {
  if (!replica.isLoaded) {
    return;
  }
  const text = isLost ? "Connection to the server lost." : "Connected to the server again.";
  const at = new Date((isLost ? link.lastGood : now) - (ahead ?? 0)).toISOString();
  view.addEvent({ kind: "link", at, text, affects: [] });
  view.announce(text);
}

view.onRetry(() => link.retryNow());
setInterval(show, 1000);
link.start();
