// What <service-notices> decides to show: a real client on a clock of the test's own, without any DOM.

import assert from "node:assert/strict";
import { test } from "node:test";

import { AGAIN_MS, CALM_MS, FOLD_MS, SETTLE_MS } from "../src/element/story.js";
import { makeWords } from "../src/element/words.js";
import { FEATURES, told, Watch } from "./element-watch.js";
import { notice, rejected, service, settle, welcome } from "./world.js";

const DOWN = { text: "Analytics is unavailable. We will tell you as soon as it is back.", incident: "i1" };
const MINUTE = 60_000;

function down(revision, more = {}) {
  return notice(revision, "analytics", "down", { ...DOWN, features: [FEATURES[1]], ...more });
}

function up(revision, more = {}) {
  return notice(revision, "analytics", "up", { text: "Analytics is back to normal.", incident: "i1", ...more });
}

async function well(options = {}) {
  const features = [FEATURES[0], { ...FEATURES[1], status: "available", text: "", because: [] }];
  return Watch.start(welcome({ auth: "up", analytics: "up" }, { features }), options);
}

test("nothing is shown while all is well", async () => {
  const watch = await well();
  assert.deepEqual(watch.view(), []);
});

test("an outage says how bad, what is affected, what works, what happens to messages and since when", async () => {
  const watch = await well({ sending: "ok" });
  watch.say(down(4));
  assert.deepEqual(watch.lines(), [
    "Outage: Analytics is unavailable. We will tell you as soon as it is back. | Reports are paused. | " +
      "Everything else works. | Your messages are sent as usual. | 4 minutes ago",
  ]);
  const [line] = watch.view();
  assert.deepEqual([line.level, line.kind, line.incident, line.services], ["down", "down", "i1", ["analytics"]]);
});

test("what was found on connecting is said in words of its own", async () => {
  const watch = await Watch.start(welcome({ auth: "degraded", analytics: "up" }));
  assert.deepEqual(watch.lines(), ["Disruption: auth is slow or unreliable. | 4 minutes ago"]);
});

test("times are relative, and those of the server's clock", async () => {
  const watch = await Watch.start(welcome({ auth: "degraded" }));
  await watch.world.pass(MINUTE);
  assert.match(watch.lines()[0], /\| 5 minutes ago$/);
  await watch.world.pass(60 * MINUTE);
  assert.match(watch.lines()[0], /\| 1 hour ago$/);
  watch.say(notice(4, "db", "down", { service: service("db", "down", { since: "2026-01-01T11:15:00Z" }) }));
  assert.match(watch.lines()[0], /\| now$/);
});

test("a recovery replaces the warning in its place, and folds away", async () => {
  const watch = await well();
  watch.say(down(4));
  const [{ key }] = watch.view();
  watch.say(up(5));
  assert.deepEqual(watch.lines(), ["Resolved: Analytics is back to normal."]);
  const [line] = watch.view();
  assert.deepEqual([line.key, line.level, line.kind], [key, "up", "recovered"]);
  assert.equal((await watch.pass(FOLD_MS - 1)).length, 1);
  assert.equal((await watch.pass(1)).length, 0);
});

test("a recovery stays while somebody is at it, and a little longer", async () => {
  const watch = await well();
  watch.say(down(4), up(5));
  watch.say(down(6));
  watch.view();
  watch.say(up(7));
  watch.heldUntil = Infinity;
  assert.equal((await watch.pass(10 * FOLD_MS)).length, 1);
  watch.heldUntil = watch.world.time + 3_000;
  assert.equal((await watch.pass(2_999)).length, 1);
  assert.equal((await watch.pass(1)).length, 0);
  watch.heldUntil = Infinity;
  assert.equal(watch.view().length, 0, "what has folded away does not come back under the pointer");
});

test("ten outages in a row are one notice, which says that it comes and goes", async () => {
  const watch = await well();
  const seen = new Set();
  for (let turn = 0; turn < 10; turn += 1) {
    watch.say(down(10 + 2 * turn, { incident: `i${turn}` }));
    seen.add(watch.lines().join());
    await watch.pass(5_000);
    watch.say(up(11 + 2 * turn, { incident: `i${turn}` }));
    seen.add(watch.lines().join());
    await watch.pass(2_000);
    assert.equal(watch.view().length, 1);
  }
  const words = [...new Set([...seen].map((each) => each.split(" | ")[0]))];
  assert.deepEqual(words, [
    `Outage: ${DOWN.text}`,
    "Resolved: Analytics is back to normal.",
    "Disruption: analytics keeps coming and going.",
  ]);
  assert.match((await watch.pass(CALM_MS - 3_000)).map(told)[0], /keeps coming and going/);
  assert.match((await watch.pass(3_000)).map(told)[0], /^Resolved/);
  assert.equal((await watch.pass(FOLD_MS)).length, 0);
});

test("what comes and goes and then stays away is an outage again", async () => {
  const watch = await well();
  watch.say(down(4));
  watch.view();
  watch.say(up(5));
  watch.view();
  watch.say(down(6));
  assert.match(watch.lines()[0], /keeps coming and going/);
  assert.match((await watch.pass(CALM_MS)).map(told)[0], /^Outage/);
  watch.say(up(7));
  assert.match(watch.lines()[0], /^Resolved/);
});

test("the same after a long while is another outage", async () => {
  const watch = await well();
  watch.say(down(4));
  watch.view();
  watch.say(up(5));
  await watch.pass(AGAIN_MS);
  watch.say(down(6));
  assert.match(watch.lines()[0], /^Outage/);
});

test("services that fail together are one notice, led by the one that explains the others", async () => {
  const watch = await well();
  watch.say(notice(4, "database", "down", { text: "", incident: "i1" }));
  watch.say(down(5, { service: service("analytics", "down", { caused_by: ["database"] }) }));
  watch.say(notice(6, "exports", "degraded", { incident: "i1" }));
  const lines = watch.view();
  assert.deepEqual(lines.map(({ services }) => services), [["database", "analytics", "exports"]]);
  assert.equal(told(lines[0]).split(" | ").slice(0, 2).join(" | "), "Outage: database is unavailable. | Reports are paused.");
});

test("the worst comes first in a banner, and what began first in a conversation", async () => {
  const watch = await Watch.start(welcome({ auth: "up" }));
  const at = (name, minute, status) => service(name, status, { since: `2026-01-01T10:0${minute}:00Z` });
  watch.say(notice(4, "search", "degraded", { service: at("search", 1, "degraded") }));
  watch.say(notice(5, "reports", "down", { service: { ...at("reports", 2, "down"), criticality: "optional" } }));
  watch.say(notice(6, "auth", "down", { service: at("auth", 3, "down") }));
  const names = (options) => watch.view(options).map(({ services: [name] }) => name);
  assert.deepEqual(names(), ["auth", "reports", "search"]);
  assert.deepEqual(names({ mode: "line" }), ["search", "reports", "auth"]);
});

test("only the services that are wanted", async () => {
  const watch = await well({ only: ["auth"] });
  watch.say(down(4));
  assert.deepEqual(watch.lines(), []);
  watch.say(notice(5, "auth", "degraded"));
  assert.equal(watch.lines().length, 1);
});

test("offline and a lost feed are different things", async () => {
  const watch = await well();
  await watch.world.network(false);
  watch.world.last.end();
  await settle();
  assert.match(watch.lines()[0], /^You are offline\. \| What you see may be out of date\. \| now$/);
  assert.match((await watch.pass(2 * MINUTE)).map(told)[0], /\| 2 minutes ago$/);

  await watch.world.network(true);
  await watch.world.pass(1_000);
  assert.match(watch.lines()[0], /^You are offline/, "a moment of connecting is not worth another word");
  watch.world.last.say(welcome({ auth: "up", analytics: "up" }));
  assert.deepEqual(watch.lines(), ["Resolved: You are online again."]);
  await watch.pass(AGAIN_MS + 1_000);

  watch.world.last.end();
  assert.deepEqual((await watch.pass(4_000)), []);
  const [lost] = (await watch.pass(60_000));
  assert.match(told(lost), /^We have lost the live status of our services\..* \| 1 minute ago$/);
  assert.equal(lost.action, "retry");
  watch.client.reconnect();
  await settle();
  watch.world.last.say(welcome({ auth: "up", analytics: "up" }));
  assert.deepEqual(watch.lines(), ["Resolved: Live status is back."]);
  await watch.pass(AGAIN_MS + 1_000);

  watch.say({ type: "feed", v: 1, at: "2026-01-01T10:05:00Z", feed: "unwatched", text: "" });
  assert.match(watch.lines()[0], /^We have lost the live status/);
});

test("a lost connection has a moment to come back, also where the page was not looked at for long", async () => {
  const watch = await well();
  watch.world.last.end();
  await watch.world.pass(30_000);
  assert.equal((await watch.pass(SETTLE_MS - 1)).length, 0);
  watch.client.reconnect();
  await settle();
  watch.world.last.say(welcome({ auth: "up", analytics: "up" }));
  assert.equal(watch.view().length, 0, "and nobody hears that it is back");
  watch.world.last.end();
  await watch.world.pass(30_000);
  assert.equal((await watch.pass(SETTLE_MS + 1))[0].kind, "lost");
});

test("a connection that is lost right after it came back is not called back", async () => {
  const watch = await well();
  await watch.world.network(false);
  watch.world.last.end();
  await settle();
  assert.equal(watch.view()[0].kind, "offline");
  await watch.world.network(true);
  await watch.world.pass(1_000);
  watch.world.last.say(welcome({ auth: "up", analytics: "up" }));
  assert.match(watch.lines()[0], /^Resolved/);
  watch.world.last.end();
  while (watch.client.standing !== "lost") {
    await watch.world.pass(500);
  }
  assert.deepEqual(watch.lines(), []);
  assert.equal((await watch.pass(SETTLE_MS + 1))[0].kind, "flapping");
});

test("a connection that comes and goes is one notice", async () => {
  const watch = await well();
  for (let turn = 0; turn < 3; turn += 1) {
    await watch.world.network(false);
    watch.world.last.end();
    await settle();
    watch.view();
    await watch.world.network(true);
    await watch.world.pass(1_000);
    watch.world.last.say(welcome({ auth: "up", analytics: "up" }));
    watch.view();
  }
  assert.match(watch.lines()[0], /^Disruption: The connection keeps coming and going\./);
  assert.equal(watch.view().length, 1);
});

test("a refused connection has the server's reason and the time of the next attempt", async () => {
  const watch = await well({ sending: "blocked" });
  watch.say(notice(4, "auth", "down"));
  watch.say(rejected(5_000));
  watch.world.last.end(1011, "auth is unavailable");
  await settle();
  const [line] = watch.view();
  assert.equal(
    told(line),
    "You cannot connect right now. | Sign-in is unavailable, and we cannot connect you without it. | " +
      "You cannot send messages right now. Your draft is kept. | Trying again in 5 seconds",
  );
  assert.deepEqual([line.action, line.isBlocked, line.isDismissable], ["retry", true, false]);
  assert.equal(watch.view().length, 1, "the reason is not said twice");
  await watch.world.pass(2_000);
  assert.match(watch.lines()[0], /Trying again in 3 seconds$/);
  await watch.world.pass(3_000);
  assert.match(watch.lines()[0], /Trying again now$/);
  watch.sending = "ok";
  watch.world.last.say(welcome({ auth: "up", analytics: "up" }));
  assert.deepEqual(watch.lines(), ["Resolved: You are connected again."]);
});

test("a reason in another language than the reader's gives way to words of our own", async () => {
  const watch = await well();
  watch.say({ ...rejected(5_000), text: "Anmeldung ist nicht verfügbar.", lang: "de" });
  watch.world.last.end(1011, "");
  await settle();
  assert.match(watch.lines()[0], /^You cannot connect right now\. \| auth is unavailable\. \|/);
  const [{ details }] = watch.view({ words: makeWords("de") });
  assert.deepEqual(details, ["Anmeldung ist nicht verfügbar."]);
});

test("a page that is too old is to be reloaded, and says so until it is", async () => {
  const watch = await well();
  watch.say({ type: "notice", v: 2 });
  const [line] = watch.view();
  assert.equal(told(line), "This page is out of date. Please reload it.");
  assert.deepEqual([line.action, line.isDismissable], ["reload", false]);
});

test("planned work is told ahead and while it is on, in the reader's time", async () => {
  const watch = await well();
  const span = { starts_at: "2026-01-01T11:00:00Z", until: "2026-01-01T12:00:00Z", reason: "A bigger disk." };
  const plan = (revision, planned) => ({
    type: "planned",
    v: 1,
    position: { epoch: "e", revision },
    at: "2026-01-01T10:05:00Z",
    service: service("analytics", "up", { title: "Analytics", planned }),
    text: "Planned work on Analytics until 12:00 UTC. A bigger disk.",
    quiet: false,
  });
  watch.say(plan(4, { ...span, starts_at: "2026-01-03T11:00:00Z", until: "2026-01-03T12:00:00Z", has_begun: false }));
  assert.deepEqual(watch.lines(), [], "not days ahead");
  watch.say(plan(5, { ...span, has_begun: false }));
  assert.match(watch.lines()[0], /^Planned work: Analytics: .*\d.*\. \| A bigger disk\.$/);
  watch.say(plan(6, { ...span, has_begun: true }));
  assert.equal(watch.lines().length, 1);
  watch.dismiss();
  assert.deepEqual(watch.lines(), []);
  const down = service("analytics", "down", { title: "Analytics", planned: { ...span, has_begun: true } });
  watch.say(notice(7, "analytics", "down", { service: down, text: "" }));
  assert.match(watch.lines()[0], /^Outage: Analytics is unavailable\./);
});

test("what was dismissed stays away until it is worse", async () => {
  const watch = await well();
  watch.say(notice(4, "analytics", "degraded"));
  watch.view();
  watch.dismiss();
  assert.deepEqual(watch.lines(), []);
  watch.say(notice(5, "analytics", "down"));
  assert.match(watch.lines()[0], /^Outage/);
  watch.dismiss();
  watch.say(notice(6, "analytics", "degraded"), notice(7, "analytics", "down"));
  assert.deepEqual(watch.lines(), []);
  watch.say(notice(8, "analytics", "up"));
  assert.deepEqual(watch.lines(), [], "nor is its end told");
});

test("what was dismissed stays away after a reload, and a new outage does not", async () => {
  const watch = await Watch.start(welcome({ analytics: "down" }));
  watch.dismiss();
  watch.story = new Map();
  assert.deepEqual(watch.lines(), []);
  watch.story = new Map();
  const later = new Date(watch.world.time + watch.skew + 3_600_000).toISOString();
  watch.say(notice(4, "analytics", "down", { service: service("analytics", "down", { since: later }) }));
  await watch.world.pass(4_000_000);
  assert.equal(watch.lines().length, 1);
});

test("what keeps a reader from sending is shown although it was dismissed", async () => {
  const watch = await Watch.start(welcome({ analytics: "down" }), { sending: "queued" });
  assert.match(watch.lines()[0], /Your messages are kept and sent later\./);
  watch.dismiss();
  assert.deepEqual(watch.lines(), []);
  watch.sending = "blocked";
  assert.match(watch.lines()[0], /You cannot send messages right now\. Your draft is kept\./);
  assert.equal(watch.view()[0].isDismissable, false);
});

test("what happens to messages stands once, on the worst", async () => {
  const watch = await Watch.start(welcome({ auth: "down", db: "down" }), { sending: "queued" });
  assert.deepEqual(watch.view().map(({ sending }) => sending !== ""), [true, false]);
});

test("a reason that only the application knows is a notice of its own", async () => {
  const watch = await well({ sending: "blocked" });
  assert.deepEqual(watch.lines(), ["You cannot send messages right now. Your draft is kept."]);
  watch.say(down(4));
  assert.equal(watch.lines().length, 1, "and gives way to a better one");
  watch.say(up(5));
  await watch.pass(AGAIN_MS);
  assert.match(watch.lines()[0], /^You cannot send/);
  watch.sending = "ok";
  assert.deepEqual(watch.lines(), []);
});

test("a service that is not told of any more is not called well", async () => {
  const watch = await Watch.start(welcome({ auth: "up", analytics: "down" }));
  assert.equal(watch.lines().length, 1);
  watch.say({ ...welcome({ auth: "up", analytics: "unknown" }), type: "snapshot", position: { epoch: "e", revision: 9 } });
  assert.deepEqual(watch.lines(), []);
});

test("what still works is named where it is not all the rest", async () => {
  const search = { name: "search", title: "Search", status: "unknown", text: "", because: [] };
  const watch = await Watch.start(welcome({ analytics: "down" }, { features: [...FEATURES, search] }));
  assert.match(watch.lines()[0], /Reports are paused\. \| Still working: Chat\./);
});

test("a plan that makes no sense is none", async () => {
  const planned = { starts_at: "soon", until: "later", reason: "", has_begun: true };
  const watch = await Watch.start(welcome({ a: "up" }, { services: [service("a", "up", { planned }), service("b", "down", { planned })] }));
  assert.deepEqual(watch.lines(), ["Outage: b is unavailable. | 4 minutes ago"]);
});

test("what comes and goes is dismissed once", async () => {
  const watch = await well();
  watch.say(down(4));
  watch.view();
  watch.dismiss();
  await watch.pass(5_000);
  watch.say(up(5));
  watch.view();
  const since = new Date(watch.world.time + watch.skew + 1_000).toISOString();
  await watch.pass(1_000);
  watch.say(down(6, { service: service("analytics", "down", { since }) }));
  assert.deepEqual(watch.lines(), []);
});

test("nothing is told of the end of planned work, nor of a page that was out of date", async () => {
  const watch = await well();
  const planned = { starts_at: "2026-01-01T10:00:00Z", until: "2026-01-01T12:00:00Z", reason: "", has_begun: true };
  watch.say({ ...welcome({}, { services: [service("auth", "up", { planned })] }), position: { epoch: "e", revision: 4 } });
  assert.equal(watch.view().length, 1);
  watch.say({ ...welcome({ auth: "up" }), position: { epoch: "e", revision: 5 } });
  assert.deepEqual(watch.view(), []);
  watch.say({ type: "notice", v: 2 });
  assert.equal(watch.view().length, 1);
  watch.client.reconnect();
  await settle();
  watch.say(welcome({ auth: "up" }));
  assert.deepEqual(watch.view(), []);
});

test("a client of an application's own will do, and connecting is not being back", async () => {
  const watch = await well();
  const client = { standing: "offline", connection: "offline", lastGood: 1, services: new Map(), features: new Map() };
  watch.client = client;
  assert.match(watch.lines()[0], /^You are offline/);
  client.standing = "connecting";
  assert.match(watch.lines()[0], /^You are offline/);
  client.standing = "well";
  assert.deepEqual(watch.lines(), ["Resolved: You are online again."]);
});

test("the server's words of an earlier state are not those of this one, and are not said twice", async () => {
  const watch = await well();
  watch.say(notice(4, "auth", "degraded", { text: "Signing in is slow." }));
  assert.match(watch.lines()[0], /Signing in is slow\./);
  watch.say(notice(5, "auth", "down", { quiet: true }));
  assert.match(watch.lines()[0], /^Outage: auth is unavailable\./);
  const explained = await well();
  explained.say(down(4, { text: FEATURES[1].text }));
  assert.equal(explained.lines()[0].match(/Reports are paused\./g).length, 1);
});
