// One tab, on a clock and sockets of the test's own.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";

import { AvailabilityClient } from "../src/index.js";
import { notice, rejected, service, settle, welcome, World } from "./world.js";

// A client in a tab of a new world, and what it told.
function start(options = {}, { tab = {}, url = "/ws" } = {}) {
  const world = new World();
  const page = world.tab(tab);
  const client = new AvailabilityClient(url, { share: false, environment: page.environment, ...options });
  const told = [];
  for (const type of ["notice", "feed", "rejected", "goodbye", "welcome", "waiting", "snapshot", "error"]) {
    client.addEventListener(type, ({ detail }) => told.push([type, detail.kind ?? detail.type ?? detail.message]));
  }
  const standings = [];
  client.addEventListener("standing", ({ detail }) => standings.push(detail.standing));
  return { world, page, client, told, standings };
}

async function started(...options) {
  const all = start(...options);
  const loaded = all.client.connect();
  await settle();
  all.world.last.say(welcome());
  assert.equal(await loaded, all.client);
  all.told.length = 0;
  all.standings.length = 0;
  return all;
}

test("it connects, is welcomed and hears what changes", async () => {
  const { world, client, told, standings } = start({ services: ["auth", "db"], features: ["chat"] });
  assert.equal(client.connection, "idle");
  const loaded = client.connect();
  assert.equal(client.connection, "connecting");
  assert.equal(world.last.url, "wss://chat.test/ws?services=auth%2Cdb&features=chat");
  assert.deepEqual(world.last.protocols, ["availability.v1"]);
  world.last.say(welcome({ auth: "up", db: "up" }));
  await loaded;
  assert.equal(client.connection, "open");
  assert.equal(client.admission, "admitted");
  world.last.say(notice(4, "db", "down"), notice(4, "db", "up"), notice(5, "auth", "degraded", { quiet: true }));
  assert.deepEqual(told, [["welcome", "welcome"], ["notice", "down"]]);
  assert.deepEqual(
    client.troubles.map((each) => each.name),
    ["auth", "db"],
  );
  assert.equal(client.position.revision, 5);
  assert.deepEqual(standings, ["well", "degraded"]);
});

test("offline, a lost feed and a degraded service are three different things", async () => {
  const { world, client, standings } = await started();
  const all = () => [client.isOffline, client.isFeedLost, client.troubles.length];
  assert.deepEqual(all(), [false, false, 0]);
  world.last.say(notice(4, "auth", "degraded"));
  assert.deepEqual(all(), [false, false, 1]);
  world.last.say({ type: "feed", v: 1, at: "2026-01-01T10:06:00Z", feed: "unwatched", text: "Not watched." });
  assert.deepEqual(all(), [false, true, 1]);
  world.last.say({ type: "feed", v: 1, at: "2026-01-01T10:07:00Z", feed: "live", text: "" });
  await world.network(false);
  assert.equal(client.connection, "offline");
  assert.deepEqual(all(), [true, false, 1]);
  await world.pass(6_000);
  assert.deepEqual(all(), [true, true, 1]);
  await world.network(true);
  await world.pass(500);
  world.last.say(welcome());
  assert.deepEqual(all(), [false, false, 0]);
  assert.deepEqual(standings, ["degraded", "lost", "degraded", "offline", "lost", "well"]);
});

test("a language is asked for, and what the server says has the one that it is in", async () => {
  const { world, client } = start({ locale: "de-AT" });
  const told = [];
  for (const type of ["notice", "feed"]) {
    client.addEventListener(type, ({ detail }) => told.push([detail.text, detail.lang]));
  }
  client.connect();
  assert.equal(world.last.url, "wss://chat.test/ws?locale=de-AT");
  const chat = { name: "chat", title: "Chat", status: "limited", text: "Nur kurze Antworten.", lang: "de", because: [] };
  world.last.say(welcome({ auth: "up" }, { text: "Nur kurze Antworten.", lang: "de", features: [chat] }));
  assert.deepEqual([client.text, client.lang], ["Nur kurze Antworten.", "de"]);
  assert.equal(client.features.get("chat").lang, "de");
  const work = notice(6, "auth", "up", { type: "planned", text: "Planned.", lang: "en-GB" });
  world.last.say(notice(4, "auth", "down", { text: "Anmeldung gestört.", lang: "de" }), notice(5, "auth", "up"), work);
  world.last.say({ type: "feed", v: 1, at: "2026-01-01T10:06:00Z", feed: "lost", text: "Unbekannt.", lang: "de" });
  assert.deepEqual(told, [
    ["Anmeldung gestört.", "de"],
    ["auth up", "en"],
    ["Planned.", "en-GB"],
    ["Unbekannt.", "de"],
  ]);
  world.last.say(welcome());
  assert.equal(client.lang, "en", "where the server does not say");
});

test("a short break is not worth a word, a longer one is", async () => {
  const { world, client, standings } = await started();
  world.last.end();
  await world.pass(800);
  world.last.say(welcome());
  assert.deepEqual(standings, []);
  world.last.end();
  await world.pass(4_900);
  assert.deepEqual(standings, []);
  await world.pass(200);
  assert.deepEqual(standings, ["lost"]);
  assert.equal(client.services.get("auth").status, "up", "what was known stays there to be shown as old");
});

test("a short break is not worth a word after a long quiet time either", async () => {
  const { world, standings } = await started();
  await world.pass(20_000);
  world.last.end();
  await world.pass(4_900);
  assert.deepEqual(standings, []);
  await world.pass(200);
  assert.deepEqual(standings, ["lost"]);
});

test("a client that is made early and connects late has lost nothing by that", async () => {
  const { world, page, client, standings } = start();
  await world.pass(60_000);
  client.connect();
  assert.equal(client.standing, "connecting");
  await page.show(false);
  world.last.end();
  await world.pass(60_000);
  standings.length = 0;
  await page.show(true);
  assert.equal(client.standing, "connecting");
  await world.pass(5_000);
  assert.deepEqual(standings, ["connecting", "lost"]);
});

test("what a break hid is told when it is over, once", async () => {
  const { world, told } = await started();
  world.last.end();
  await world.pass(800);
  world.last.say(welcome({ auth: "down" }, { position: { epoch: "e", revision: 7 } }), notice(7, "auth", "down"));
  assert.deepEqual(told, [["notice", "down"], ["welcome", "welcome"]].reverse());
});

test("attempts come further and further apart, up to 20 s", async () => {
  const { world, client } = start();
  client.connect();
  const waits = [];
  for (let attempt = 0; attempt < 8; attempt += 1) {
    world.last.end();
    waits.push(client.retryAt - world.time);
    await world.pass(client.retryAt - world.time);
  }
  assert.deepEqual(waits, [750, 1250, 2250, 4250, 8250, 10_250, 10_250, 10_250]);
  assert.equal(world.sockets.length, 9);
  assert.equal(world.open.length, 1);
});

test("a node that lets in and throws out is not met without a pause", async () => {
  const { world, client } = await started();
  for (const wait of [750, 1250, 2250]) {
    world.last.end(3000);
    assert.equal(client.retryAt - world.time, wait);
    await world.pass(wait);
    world.last.say(welcome());
  }
  await world.pass(10_000);
  world.last.end(3000);
  assert.equal(client.retryAt - world.time, 750, "a connection that lasted ends the row of failures");
});

test("who is refused learns why, and comes back when told to", async () => {
  const { world, client, told } = start();
  const loaded = client.connect();
  world.last.say(rejected(5400));
  world.last.end(1011, "Sign-in is unavailable");
  assert.equal(client.standing, "refused");
  assert.equal(client.closeReason, "Sign-in is unavailable");
  assert.match(client.refusal.text, /cannot connect you/);
  assert.deepEqual(
    client.troubles.map((each) => each.name),
    ["auth"],
  );
  await world.pass(5399);
  assert.equal(world.sockets.length, 1);
  assert.equal(client.standing, "refused", "it is no lost feed: the server said why");
  await world.pass(1);
  assert.equal(world.sockets.length, 2);
  world.last.say(welcome());
  await loaded;
  assert.equal(client.refusal, null);
  assert.equal(client.standing, "well");
  assert.deepEqual(told, [["rejected", "rejected"], ["welcome", "welcome"]]);
});

test("a refusal is believed until a connection fails without a word", async () => {
  const { world, client } = start();
  client.connect();
  world.last.say(rejected(9000));
  world.last.end(1011);
  await world.pass(9000);
  assert.equal(client.standing, "refused");
  world.last.end(1006);
  assert.equal(client.standing, "lost");
});

test("who is turned away for another reason is not refused any more", async () => {
  for (const code of [1013, 3500]) {
    const { world, client } = start();
    client.connect();
    world.last.say(rejected(9000));
    world.last.end(1011);
    await world.pass(9000);
    world.last.end(code);
    assert.equal(client.standing, "lost", String(code));
  }
});

test("a wait that was asked for is for one close only", async () => {
  const { world, client } = await started();
  world.last.say({ type: "goodbye", v: 1, at: "2026-01-01T10:08:20Z", text: "", retry_after_ms: 3000 });
  world.last.end(1012);
  assert.equal(client.retryAt - world.time, 3000);
  await world.pass(3000);
  world.last.end();
  assert.equal(client.retryAt - world.time, 1250);
});

test("who waits for admission is told, and let in", async () => {
  const { world, client, told } = start();
  const loaded = client.connect();
  world.last.say(welcome({ auth: "down" }, { type: "waiting", text: "Stay connected." }));
  await loaded;
  assert.equal(client.admission, "waiting");
  world.last.say(notice(4, "auth", "up"), welcome({ auth: "up" }, { position: { epoch: "e", revision: 4 } }));
  assert.equal(client.admission, "admitted");
  assert.deepEqual(told.map(([type]) => type), ["waiting", "notice", "notice", "welcome"]);
});

test("after a close that forbids it only a person connects again", async () => {
  const { world, client } = start();
  const loaded = client.connect();
  world.last.say({ type: "goodbye", v: 1, at: "2026-01-01T10:08:20Z", text: "", retry_after_ms: 3000 });
  world.last.end(3500, "no such service");
  await assert.rejects(loaded, /3500 no such service; .*reconnect\(\)/);
  await world.pass(100_000);
  assert.equal(client.connection, "ended");
  assert.equal(client.standing, "lost");
  assert.equal(world.sockets.length, 1);
  client.reconnect();
  world.last.say(welcome());
  assert.equal(client.connection, "open");
});

test("who tries again can wait for how that goes", async () => {
  const { world, client } = start();
  const first = client.connect();
  world.last.end(3500);
  await assert.rejects(first, /3500/);
  await assert.rejects(client.connect(), /3500/, "nobody tried again");
  client.reconnect();
  const second = client.connect();
  world.last.say(welcome());
  assert.equal(await second, client);
  world.last.end(3500);
  client.reconnect();
  world.last.end(1000);
  await assert.rejects(client.connect(), /1000/);
});

test("a newer protocol is not guessed at", async () => {
  const { world, client } = await started();
  world.last.say(welcome({ auth: "down" }, { v: 2 }));
  assert.equal(client.connection, "outdated");
  assert.equal(client.standing, "outdated");
  assert.equal(client.services.get("auth").status, "up");
  await world.pass(100_000);
  assert.equal(world.open.length, 0);
});

test("who waits to be connected learns that the protocol is newer, and may try again", async () => {
  const { world, client } = start();
  const loaded = client.connect();
  world.last.say(welcome({}, { v: 2 }));
  await assert.rejects(loaded, /newer protocol; reload the page/);
  client.reconnect();
  world.last.say(welcome());
  assert.equal(client.standing, "well");
});

test("nonsense changes nothing and breaks nothing", async () => {
  const { world, client, told } = await started();
  world.last.say("{", "null", "[]", "7", '"text"', "{}", '{"type":"welcome"}', '{"type":"notice","service":null}');
  world.last.say('{"type":"snapshot","services":5}', '{"type":"feed"}', '{"type":"goodbye","retry_after_ms":"soon"}');
  world.last.say('{"type":"rejected","services":5}', '{"type":"rejected","services":[null],"features":{}}');
  assert.deepEqual(told, [["goodbye", "goodbye"]]);
  assert.equal(client.standing, "well");
  assert.deepEqual(client.troubles, []);
});

test("a server that says nothing at all is left after ten seconds", async () => {
  const { world, client } = start();
  client.connect();
  await world.pass(10_000);
  assert.equal(client.connection, "waiting");
  assert.equal(world.open.length, 0);
});

test("a server that talks and lets nobody in is left, too", async () => {
  const { world, client } = start();
  client.connect();
  for (let second = 0; second < 10; second += 1) {
    world.last.say("hello", { type: "gossip", v: 1 });
    assert.equal(client.connection, "connecting");
    await world.pass(1000);
  }
  assert.equal(client.connection, "waiting");
  assert.equal(world.open.length, 0);
});

test("being turned away again and again is one loss, not many", async () => {
  const { world, client, standings } = await started();
  world.last.end();
  for (let attempt = 0; attempt < 4; attempt += 1) {
    await world.pass(client.retryAt - world.time);
    world.last.say({ type: "goodbye", v: 1, at: "2026-01-01T10:08:20Z", text: "", retry_after_ms: 4000 });
    world.last.end(1013);
  }
  assert.deepEqual(standings, ["lost"]);
});

test("a missed heartbeat is a server that answers nothing", async () => {
  const { world, client } = await started();
  await world.pass(35_000);
  assert.deepEqual(world.checks, ["https://chat.test/livez"]);
  assert.equal(client.connection, "open");
  assert.equal(client.lastGood, world.time - 5_000);
  world.answersChecks = false;
  await world.pass(30_001);
  assert.equal(client.connection, "waiting");
  assert.equal(world.sockets.length, 1);
  assert.equal(world.open.length, 0);
});

test("a check that never works is believed once, and then no longer", async () => {
  const { world, client } = await started();
  world.answersChecks = false;
  await world.pass(36_000);
  assert.equal(world.sockets.length, 2);
  world.last.say(welcome());
  await world.pass(600_000);
  assert.equal(client.connection, "open");
  assert.equal(world.sockets.length, 2);
  assert.equal(world.checks.length, 2);
});

test("a check ends with its connection, and the next connection has checks of its own", async () => {
  const { world, page, client } = await started();
  world.answersChecks = false;
  await world.pass(31_000);
  assert.equal(world.checks.length, 1);
  world.last.end();
  await world.pass(750);
  world.last.say(welcome());
  await page.show(true);
  assert.equal(world.checks.length, 2);
  client.close();
  await settle();
  assert.equal(world.timers.size, 0);
});

test("a heartbeat of 0 asks nothing", async () => {
  const { world, page } = await started({ heartbeatMs: 0 });
  await page.show(true);
  await world.pass(600_000);
  assert.deepEqual(world.checks, []);
});

test("where the check goes", async () => {
  for (const [url, expected] of [
    ["wss://a.test/ws/status?services=x", "https://a.test/livez"],
    ["ws://a.test:8895/base/ws", "http://a.test:8895/base/livez"],
    ["status/ws", "https://chat.test/app/status/livez"],
    ["https://a.test/feed", "https://a.test/livez"],
  ]) {
    const { world } = await started({}, { url });
    await world.pass(31_000);
    assert.deepEqual(world.checks, [expected]);
  }
});

test("an address that is none is refused with one that would do", () => {
  for (const url of ["http://[", "ftp://a.test/ws", "file:///ws/status"]) {
    assert.throws(() => start({}, { url }), /no address; give one like wss:/);
  }
});

test("a browser that is back online connects soon, and rarely tries before", async () => {
  const { world, client } = await started();
  await world.network(false);
  assert.equal(world.open.length, 0);
  await world.pass(19_999);
  assert.equal(world.sockets.length, 1);
  await world.network(true);
  await world.pass(250);
  assert.equal(world.sockets.length, 2);
  world.last.say(welcome());
  assert.equal(client.standing, "well");
});

test("a browser that is wrong about being offline connects all the same", async () => {
  const { world, client } = await started();
  await world.network(false);
  await world.pass(20_000);
  world.last.say(welcome());
  assert.equal(client.isOffline, false);
  assert.equal(client.standing, "well");
});

test("back online does not hurry what the server asked for", async () => {
  const { world, client } = start();
  client.connect();
  world.last.say(rejected(9000));
  world.last.end(1011);
  await world.network(true);
  await world.pass(8999);
  assert.equal(world.sockets.length, 1);
  await world.pass(1);
  assert.equal(world.sockets.length, 2);
});

test("a hidden tab keeps its connection and opens none", async () => {
  const { world, page, client } = await started();
  await page.show(false);
  await world.pass(120_000);
  assert.equal(client.connection, "open");
  world.last.say(notice(4, "auth", "down"));
  assert.equal(client.standing, "degraded");
  world.last.end();
  await world.pass(120_000);
  assert.equal(client.connection, "paused");
  assert.equal(world.sockets.length, 1);
  await page.show(true);
  assert.equal(world.sockets.length, 2);
  world.last.say(welcome());
  assert.equal(client.connection, "open");
});

test("a tab that is opened in the background waits until it is looked at, if it may", async () => {
  const { world, page, client } = start({}, { tab: { isHidden: true } });
  client.connect();
  assert.equal(client.connection, "paused");
  assert.equal(world.sockets.length, 0);
  await page.show(true);
  assert.equal(world.sockets.length, 1);
  const other = start({ pauseHidden: false }, { tab: { isHidden: true } });
  other.client.connect();
  assert.equal(other.world.sockets.length, 1);
});

test("a hidden tab that was told when to come back does not come early when it is shown", async () => {
  const { world, page, client } = start();
  client.connect();
  world.last.say(rejected(9000));
  await page.show(false);
  world.last.end(1011);
  await world.pass(1000);
  await page.show(true);
  await world.pass(7999);
  assert.equal(world.sockets.length, 1);
  await world.pass(1);
  assert.equal(world.sockets.length, 2);
  client.close();
});

test("a tab that lost its connection out of sight connects as soon as it is looked at", async () => {
  const { world, page } = await started();
  await page.show(false);
  await world.network(false);
  await world.network(true);
  await world.pass(1000);
  await page.show(true);
  assert.equal(world.sockets.length, 2);
});

test("a page that is put away lets go of everything, and takes it up again", async () => {
  const { world, page, client } = await started();
  page.fire("pagehide", { persisted: true });
  assert.equal(world.open.length, 0);
  page.fire("pageshow", { persisted: true });
  assert.equal(client.connection, "connecting");
  assert.equal(world.open.length, 1);
});

test("each attempt has a ticket of its own, and one that fails is told and tried again", async () => {
  const tickets = ["one", new Error("sign in first"), "two", null];
  const getTicket = async () => {
    const ticket = tickets.shift();
    if (ticket instanceof Error) {
      throw ticket;
    }
    return ticket;
  };
  const { world, client, told } = start({ getTicket });
  client.connect();
  await settle();
  assert.deepEqual(world.last.protocols, ["availability.v1", "ticket.one"]);
  world.last.end();
  await world.pass(750);
  assert.deepEqual(told, [["error", "No connection could be tried; mend getTicket, or the address: sign in first"]]);
  assert.equal(world.sockets.length, 1);
  await world.pass(1250);
  assert.deepEqual(world.last.protocols, ["availability.v1", "ticket.two"]);
  world.last.end();
  await world.pass(2250);
  assert.deepEqual(world.last.protocols, ["availability.v1"]);
});

test("a ticket that never comes is given up, and what comes late is not used", async () => {
  let give;
  let signal;
  const getTicket = (call) => {
    signal = call.signal;
    return new Promise((resolve) => {
      give = resolve;
    });
  };
  const { world, client, told } = start({ getTicket });
  client.connect();
  await world.pass(10_000);
  assert.equal(client.connection, "waiting");
  assert.equal(signal.aborted, true);
  assert.deepEqual(told, [["error", "No connection could be tried; mend getTicket, or the address: no ticket within 10 s"]]);
  give("late");
  await settle();
  assert.equal(world.sockets.length, 0);
});

test("who closes the client on hearing of a failed ticket is not connected again", async () => {
  const { world, client } = start({ getTicket: () => Promise.reject(new Error("sign in first")) });
  client.addEventListener("error", () => client.close());
  client.connect();
  await world.pass(60_000);
  assert.equal(client.connection, "closed");
  assert.equal(world.timers.size, 0);
  assert.equal(world.sockets.length, 0);
});

test("who closes the client on hearing that it connects is asked for no ticket", async () => {
  let asked = 0;
  const { client } = start({ getTicket: () => String((asked += 1)) });
  client.addEventListener("connection", () => client.close());
  client.connect();
  await settle();
  assert.equal(asked, 0);
});

test("the iterator gives what happens, in order, and ends with the client", async () => {
  const { world, client } = start();
  const seen = [];
  const reading = (async () => {
    for await (const each of client) {
      seen.push(each.kind);
    }
  })();
  world.last.say(welcome({ auth: "down" }), notice(4, "auth", "up"));
  world.last.say({ type: "feed", v: 1, at: "2026-01-01T10:06:00Z", feed: "lost", text: "" });
  await settle();
  client.close();
  await reading;
  assert.deepEqual(seen, ["down", "recovered", "feed"]);
});

test("a reader who leaves or falls behind costs nobody anything", async () => {
  const { world, client } = await started();
  const slow = client.notices();
  const aborting = new AbortController();
  const other = client.notices({ signal: aborting.signal });
  const pending = other.next();
  aborting.abort();
  assert.deepEqual(await pending, { value: undefined, done: true });
  for (let revision = 4; revision < 1504; revision += 1) {
    world.last.say(notice(revision, "auth", revision % 2 ? "up" : "down", { text: `the ${revision}th` }));
  }
  assert.equal((await slow.next()).value.text, "the 504th");
  assert.equal((await slow.return()).done, true);
  assert.equal((await slow.next()).done, true);
});

test("a reader who leaves lets go of the signal that might have ended it", async () => {
  const { client } = await started();
  const { signal } = new AbortController();
  const aborting = [client.notices({ signal }), client.notices({ signal }), client.notices({ signal })];
  assert.equal(getEventListeners(signal, "abort").length, 3);
  assert.deepEqual(await aborting[0].return("left"), { value: "left", done: true });
  assert.equal(getEventListeners(signal, "abort").length, 2);
  client.close();
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("a listener that closes the client hears no more of it", async () => {
  const types = ["welcome", "notice", "standing", "connection", "change"];
  for (const closing of types) {
    const { world, client } = start();
    const heard = [];
    client.connect();
    client.addEventListener(closing, () => client.close(), { once: true });
    for (const type of types) {
      client.addEventListener(type, () => heard.push(client.connection === "closed" ? `closed: ${type}` : type));
    }
    world.last.say(welcome({ auth: "down", db: "down" }));
    await world.pass(60_000);
    const after = heard.filter((each) => each.startsWith("closed"));
    assert.deepEqual(after.slice(0, 2), ["closed: connection", "closed: change"], closing);
    assert.deepEqual(after.slice(2), [`closed: ${closing}`], `${closing}: only what was being told already`);
    assert.equal(world.timers.size, 0, closing);
  }
});

test("an AbortSignal closes everything", async () => {
  const aborting = new AbortController();
  const { world, client } = start({ signal: aborting.signal });
  const loaded = client.connect();
  aborting.abort(new Error("no longer wanted"));
  await assert.rejects(loaded, /no longer wanted/);
  assert.equal(client.connection, "closed");
  assert.equal(world.open.length, 0);
  assert.equal(world.timers.size, 0);
  client.reconnect();
  await world.network(true);
  assert.equal(world.open.length, 0);
  const late = start({ signal: AbortSignal.abort(new Error("before it began")) });
  await assert.rejects(late.client.connect(), /before it began/);
  assert.equal(late.world.sockets.length, 0);
});

test("a service that was not observed lately is neither well nor in trouble", async () => {
  const { world, client } = await started();
  world.last.say(welcome({}, { services: [service("auth", "unknown")], type: "snapshot" }));
  assert.equal(client.standing, "unknown");
  assert.deepEqual(client.troubles, []);
});
