// The shared vectors, against this implementation.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { AvailabilityClient, isFinal, Replica, retryDelay } from "../src/index.js";
import { askedDelay } from "../src/reconnecting.js";
import { welcome, World } from "./world.js";

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../../tests/vectors/${name}.json`, import.meta.url)));
const statuses = (views) => Object.fromEntries([...views].map(([name, view]) => [name, view.status]));

for (const { name, steps, final } of vectors("client").sequences) {
  test(name, () => {
    const replica = new Replica();
    for (const { message, events } of steps) {
      assert.deepEqual(
        replica.apply(message).map((each) => each.kind),
        events,
      );
    }
    const { feed, position, services, features } = replica;
    const found = { feed, revision: position.revision, services: statuses(services), features: statuses(features) };
    assert.deepEqual(found, final);
  });
}

test("every message of the protocol is taken, or ignored, without complaint", () => {
  const { valid, lenient, invalid } = vectors("messages");
  const world = new World();
  const client = new AvailabilityClient("/ws", { share: false, environment: world.tab().environment });
  client.connect();
  for (const { message, text } of [...invalid, ...valid, ...lenient, ...invalid]) {
    world.last.say(text ?? message);
    assert.match(client.standing, /^(connecting|lost|refused|degraded|well|unknown)$/);
  }
  world.last.say(welcome());
  assert.equal(client.standing, "well");
});

test("close codes mean what the catalogue says", () => {
  const { codes, unlisted } = vectors("closing");
  for (const { code, reconnect } of [...codes, ...unlisted]) {
    assert.equal(isFinal(code), reconnect === "no", String(code));
  }
});

test("retries keep to half a second and a limit that doubles up to 20 s", () => {
  const bounds = [0, 1, 2, 5, 6, 50].map((failures) => [retryDelay(failures, () => 0), retryDelay(failures, () => 1)]);
  assert.deepEqual(
    bounds,
    [500, 1000, 2000, 16_000, 20_000, 20_000].map((most) => [500, most]),
  );
});

test("what a server asks for is kept to what makes sense", () => {
  assert.deepEqual([5400, 0, -1, NaN, "5", null, undefined].map(askedDelay), [5400, ...Array(6).fill(null)]);
  assert.equal(askedDelay(1e12), 3_600_000);
});
