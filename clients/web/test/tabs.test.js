// Several tabs of one browser.

import assert from "node:assert/strict";
import { test } from "node:test";

import { AvailabilityClient } from "../src/index.js";
import { notice, rejected, settle, welcome, World } from "./world.js";

function open(world, options = {}, tab = {}) {
  const page = world.tab(tab);
  const client = new AvailabilityClient("/ws", { environment: page.environment, ...options });
  const told = [];
  client.addEventListener("notice", ({ detail }) => told.push(detail.kind));
  client.connect();
  return { page, client, told };
}

// So many tabs, of which the first leads, all of them welcomed.
async function tabs(count) {
  const world = new World();
  const all = [];
  for (let number = 0; number < count; number += 1) {
    all.push(open(world));
    await settle();
    if (number === 0) {
      world.last.say(welcome());
    }
  }
  await settle();
  return { world, all };
}

const states = (all) => all.map(({ client }) => client.connection);

test("tabs share one connection, and all hear the same", async () => {
  const { world, all } = await tabs(3);
  assert.equal(world.sockets.length, 1);
  assert.deepEqual(states(all), ["open", "open", "open"]);
  assert.deepEqual(all.map(({ client }) => client.isLeading), [true, false, false]);
  world.last.say(notice(4, "auth", "down"));
  await settle();
  for (const { client, told } of all) {
    assert.deepEqual(told, ["down"]);
    assert.equal(client.services.get("auth").status, "down");
    assert.equal(client.standing, "degraded");
    assert.equal(client.position.revision, 4);
  }
  world.last.end();
  await settle();
  assert.deepEqual(states(all), ["waiting", "waiting", "waiting"]);
  await world.pass(6_000);
  assert.deepEqual(all.map(({ client }) => client.standing), ["lost", "lost", "lost"]);
});

test("a tab that comes later knows what the others know, at once", async () => {
  const { world, all } = await tabs(1);
  world.last.say(notice(4, "auth", "down"));
  const late = open(world);
  await settle();
  assert.equal(late.client.services.get("auth").status, "down");
  assert.equal(late.client.position.revision, 4);
  assert.deepEqual(late.told, ["down"]);
  world.last.say(notice(5, "auth", "up"));
  await settle();
  assert.deepEqual(late.told, ["down", "recovered"]);
  assert.deepEqual(all[0].told, ["down", "recovered"]);
});

test("what a new tab is told has the time of the server's clock", async () => {
  const { world } = await tabs(1);
  world.last.say(notice(4, "auth", "down", { at: "2026-01-01T10:05:00Z" }));
  const page = world.tab();
  const client = new AvailabilityClient("/ws", { environment: page.environment });
  const times = [];
  client.addEventListener("welcome", ({ detail }) => times.push(detail.at));
  client.connect();
  await settle();
  assert.deepEqual(times, ["2026-01-01T10:05:00Z"]);
});

test("tabs share with those of the same language", async () => {
  for (const shareName of [undefined, "chat"]) {
    const world = new World();
    const options = (locale) => ({ shareName, locale });
    const all = ["de", "es", "de"].map((locale) => open(world, options(locale)));
    await settle();
    assert.deepEqual(all.map(({ client }) => client.isLeading), [true, true, false]);
    world.sockets[0].say(welcome({}, { text: "Alles gut.", lang: "de" }));
    await settle();
    assert.deepEqual([all[2].client.text, all[2].client.lang], ["Alles gut.", "de"]);
    const late = open(world, options("de"));
    await settle();
    assert.deepEqual([late.client.text, late.client.lang], ["Alles gut.", "de"]);
  }
});

test("what a new tab is told is told to it alone", async () => {
  const { all, world } = await tabs(2);
  const welcomes = [];
  all[1].client.addEventListener("welcome", ({ detail }) => welcomes.push(detail));
  open(world);
  await settle();
  assert.deepEqual(welcomes, []);
});

test("a hidden tab does not claim the connection of a tab that is gone", async () => {
  const { world, all } = await tabs(2);
  for (const { page } of all) {
    await page.show(false);
  }
  world.last.end();
  await settle();
  await all[1].page.show(true);
  world.last.say(welcome());
  await settle();
  assert.deepEqual(states(all), ["open", "open"]);
  all[1].client.close();
  await settle();
  assert.equal(all[0].client.connection, "paused");
  assert.equal(world.open.length, 0);
});

test("a refusal is told in every tab, and nobody comes back early", async () => {
  const world = new World();
  const all = [open(world), open(world)];
  await settle();
  world.last.say(rejected(5400));
  world.last.end(1011, "down");
  await settle();
  all.push(open(world));
  await settle();
  assert.deepEqual(all.map(({ client }) => client.standing), ["refused", "refused", "refused"]);
  await world.pass(5399);
  assert.equal(world.sockets.length, 1);
  await world.pass(1);
  assert.equal(world.sockets.length, 2);
});

test("what the server asked for holds also when another tab leads", async () => {
  for (const leave of [({ client }) => client.close(), ({ page }) => page.fire("pagehide")]) {
    const world = new World();
    const all = [open(world), open(world)];
    await settle();
    world.last.say(rejected(5400));
    world.last.end(1011, "down");
    await world.pass(1000);
    leave(all[0]);
    await settle();
    assert.equal(all[1].client.isLeading, true);
    await world.pass(4399);
    assert.equal(world.sockets.length, 1);
    await world.pass(1);
    assert.equal(world.sockets.length, 2);
  }
});

test("being back online does not hurry what the server asked another tab for", async () => {
  const world = new World();
  const all = [open(world), open(world), open(world)];
  await settle();
  world.last.say(rejected(9000));
  world.last.end(1011, "down");
  await world.pass(1000);
  for (const { client } of all.slice(0, 2)) {
    client.close();
    await settle();
  }
  await world.network(true);
  await world.pass(7999);
  assert.equal(world.sockets.length, 1);
  await world.pass(1);
  assert.equal(world.sockets.length, 2);
});

test("when the tab that leads is closed, another one goes on and misses nothing", async () => {
  const { world, all } = await tabs(3);
  const [first, second, third] = all;
  first.client.close();
  await settle();
  assert.equal(world.open.length, 1);
  assert.equal(second.client.isLeading, true);
  world.last.say(welcome({ auth: "down" }, { position: { epoch: "e", revision: 9 } }));
  await settle();
  for (const { client, told } of [second, third]) {
    assert.equal(client.connection, "open");
    assert.deepEqual(told, ["down"]);
  }
});

test("a tab that goes on with the connection has not lost it", async () => {
  for (const leave of ["close", "crash"]) {
    const { world, all } = await tabs(2);
    const standings = [];
    all[1].client.addEventListener("standing", ({ detail }) => standings.push(detail.standing));
    await world.pass(20_000);
    if (leave === "close") {
      all[0].client.close();
    } else {
      all[0].page.crash();
    }
    await world.pass(4_900);
    assert.equal(all[1].client.isLeading, true);
    assert.deepEqual(standings, []);
    await world.pass(200);
    assert.deepEqual(standings, ["lost"]);
  }
});

test("a hidden tab that loses its connection lets one in sight lead", async () => {
  const { world, all } = await tabs(2);
  const [hidden, shown] = all;
  await hidden.page.show(false);
  world.last.say(notice(4, "auth", "down"));
  await settle();
  assert.deepEqual(shown.told, ["down"], "hidden or not, it keeps the connection");
  world.last.end();
  await settle();
  assert.equal(shown.client.isLeading, true);
  assert.equal(world.open.length, 1);
  world.last.say(welcome());
  await settle();
  assert.deepEqual(states(all), ["open", "open"]);
});

test("with every tab hidden nobody connects; whichever is shown first does", async () => {
  const { world, all } = await tabs(3);
  for (const { page } of all) {
    await page.show(false);
  }
  world.last.end();
  await world.pass(60_000);
  assert.equal(world.open.length, 0);
  assert.deepEqual(states(all), ["paused", "paused", "paused"]);
  await all[1].page.show(true);
  assert.equal(all[1].client.isLeading, true);
  assert.equal(world.open.length, 1);
  world.last.say(welcome());
  await settle();
  await all[0].page.show(true);
  await settle();
  assert.equal(world.open.length, 1);
  assert.deepEqual(states(all).slice(0, 2), ["open", "open"]);
});

test("a page that is put away holds nothing that the browser would drop it for", async () => {
  const { world, all } = await tabs(2);
  for (const { page } of all) {
    page.fire("pagehide", { persisted: true });
    await settle();
  }
  const [lock] = world.locks.values();
  assert.deepEqual([world.channels.size, world.open.length, lock.holder, lock.queue.length], [0, 0, null, 0]);
  for (const { page } of all) {
    page.fire("pageshow", { persisted: true });
    await settle();
  }
  world.last.say(welcome());
  await settle();
  assert.deepEqual(states(all), ["open", "open"]);
  assert.equal(world.open.length, 1);
});

test("a tab that was put away does not claim the connection of then", async () => {
  const { world, all } = await tabs(2);
  const [stuck, other] = all;
  other.page.fire("pagehide");
  assert.equal(other.client.connection, "paused");
  stuck.page.freeze();
  other.page.fire("pageshow", { persisted: true });
  await settle();
  assert.equal(other.client.connection, "connecting");
  await world.pass(6_000);
  assert.equal(other.client.isLeading, true);
});

test("a tab that leads and does not answer does not lead any longer", async () => {
  const { world, all } = await tabs(2);
  const [stuck, other] = all;
  stuck.page.freeze();
  await world.pass(40_000);
  assert.equal(other.client.isLeading, true);
  world.last.say(welcome());
  await stuck.page.thaw();
  await world.pass(6_000);
  assert.equal(stuck.client.isLeading, false);
  assert.equal(world.open.length, 1);
  assert.deepEqual(states(all), ["open", "open"]);
});

test("one of many tabs takes over from a stuck one", async () => {
  const world = new World();
  const all = [0.5, 0.1, 0.9, 0.6].map((random) => open(world, {}, { random, lag: 20 }));
  await world.pass(100);
  world.last.say(welcome());
  await world.pass(100);
  all[0].page.freeze();
  await world.pass(40_000);
  assert.equal(all[1].client.isLeading, true);
  assert.equal(world.sockets.length, 2);
});

test("what a tab that was stuck heard meanwhile does not take the others back", async () => {
  const { world, all } = await tabs(3);
  const [stuck, ...others] = all;
  stuck.page.freeze();
  const old = { type: "snapshot", position: { epoch: "e", revision: 4 }, feed: "lost" };
  world.last.say(welcome({ auth: "down" }, old));
  world.last.end(1000);
  await world.pass(40_000);
  world.last.say(welcome({ auth: "up" }, { position: { epoch: "e", revision: 9 } }));
  await settle();
  await stuck.page.thaw();
  for (const { client, told } of others) {
    assert.equal(client.position.revision, 9);
    assert.equal(client.connection, "open");
    assert.deepEqual(told, []);
  }
  assert.equal(stuck.client.position.revision, 9);
  assert.equal(world.open.length, 1);
});

test("only the tab that leads asks whether the server is there, and the others can make it ask", async () => {
  const { world, all } = await tabs(3);
  await world.pass(31_000);
  assert.equal(world.checks.length, 1);
  for (const { page } of all.slice(0, 2)) {
    await page.show(false); // the one that leads is hidden; the third is looked at
  }
  world.answersChecks = false;
  await world.pass(65_000);
  assert.equal(all[2].client.isLeading, true, "the hidden one found out and gave way");
});

test("any tab may try again for all", async () => {
  const { world, all } = await tabs(2);
  world.last.end(1000);
  await settle();
  assert.deepEqual(states(all), ["ended", "ended"]);
  all[1].client.reconnect();
  await settle();
  assert.equal(world.open.length, 1);
  assert.deepEqual(states(all), ["connecting", "connecting"]);
});

test("a new tab tries again what ended in the others", async () => {
  for (const end of [(socket) => socket.end(3500), (socket) => socket.say(welcome({}, { v: 2 }))]) {
    const { world, all } = await tabs(2);
    end(world.last);
    await settle();
    assert.equal(world.open.length, 0);
    all.push(open(world));
    await settle();
    world.last.say(welcome());
    await settle();
    assert.deepEqual(states(all), ["open", "open", "open"]);
    assert.equal(world.sockets.length, 2);
  }
});

test("offline and online reach every tab", async () => {
  const { world, all } = await tabs(2);
  await world.network(false);
  assert.deepEqual(all.map(({ client }) => client.standing), ["offline", "offline"]);
  await world.network(true);
  await world.pass(500);
  assert.equal(world.open.length, 1);
  world.last.say(welcome());
  await settle();
  assert.deepEqual(all.map(({ client }) => client.standing), ["well", "well"]);
});

test("a newer protocol ends it in every tab", async () => {
  const { world, all } = await tabs(2);
  world.last.say(welcome({}, { v: 2 }));
  await settle();
  assert.deepEqual(states(all), ["outdated", "outdated"]);
  await world.pass(60_000);
  assert.equal(world.open.length, 0);
});

test("when any tab tries again after a newer protocol, all hear how it went", async () => {
  const { world, all } = await tabs(3);
  world.last.say(welcome({}, { v: 2 }));
  await settle();
  all[1].client.reconnect();
  await settle();
  world.last.say(welcome());
  await settle();
  assert.deepEqual(states(all), ["open", "open", "open"]);
  assert.deepEqual(all.map(({ client }) => client.standing), ["well", "well", "well"]);
});

for (const missing of ["locks", "BroadcastChannel"]) {
  test(`without ${missing} every tab has a connection of its own`, async () => {
    const world = new World();
    const all = [open(world, {}, { without: [missing] }), open(world, {}, { without: [missing] })];
    await settle();
    assert.equal(world.open.length, 2);
    for (const socket of world.open) {
      socket.say(welcome());
    }
    assert.deepEqual(states(all), ["open", "open"]);
  });
}

test("a page that may not use locks or channels has a connection of its own", async () => {
  const world = new World();
  const denied = () => Promise.reject(new DOMException("denied", "SecurityError"));
  const page = world.tab();
  const locked = { ...page.environment, locks: { request: denied } };
  const sandboxed = {
    ...page.environment,
    BroadcastChannel: class {
      constructor() {
        throw new DOMException("denied", "SecurityError");
      }
    },
  };
  for (const environment of [locked, sandboxed]) {
    const client = new AvailabilityClient("/ws", { environment });
    client.connect();
    await settle();
    world.last.say(welcome());
    assert.equal(client.connection, "open");
    assert.equal(client.isLeading, true);
  }
  assert.equal(world.open.length, 2);
});
