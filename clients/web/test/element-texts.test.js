// The element's words: catalogues, plurals, lists, times, directions, and what is remembered of dismissals.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";

import { Dismissals } from "../src/element/dismissals.js";
import en from "../src/element/texts/en.js";
import { add, load, Words } from "../src/element/words.js";

const NAMES = readdirSync(new URL("../src/element/texts/", import.meta.url)).map((file) => file.replace(".js", ""));
const catalogues = await Promise.all(
  NAMES.map(async (name) => [name, (await import(`../src/element/texts/${name}.js`)).default]),
);

const forms = (text) => (typeof text === "string" ? { other: text } : text);
const names = (text) => [...new Set([...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name))].sort();

test("five languages", () => {
  assert.deepEqual(NAMES.sort(), ["ar", "de", "en", "es", "zh-CN"]);
});

for (const [locale, texts] of catalogues) {
  test(`the catalogue in ${locale} says everything, with all that is to be filled in`, () => {
    assert.deepEqual(Object.keys(texts).sort(), Object.keys(en).sort());
    for (const [key, text] of Object.entries(texts)) {
      const wanted = names(forms(en[key]).other);
      assert.deepEqual(names(forms(text).other), wanted, key);
      for (const form of Object.values(forms(text))) {
        assert.ok(form.trim() === form && form.length > 1, `${key}: "${form}"`);
        assert.ok(names(form).every((name) => wanted.includes(name)), key);
      }
    }
  });

  test(`what is counted in ${locale} has a form for every number`, () => {
    const categories = new Intl.PluralRules(locale).resolvedOptions().pluralCategories;
    for (const [key, text] of Object.entries(texts).filter(([, each]) => typeof each !== "string")) {
      assert.ok("other" in text, key);
      const some = categories.filter((each) => !(each in text));
      assert.ok(some.every((each) => each === "many" && locale === "es"), `${key} lacks ${some}`);
    }
  });
}

test("Arabic counts in six ways, with its own digits where the region has them", async () => {
  const words = await load("ar-EG");
  const more = [1, 2, 3, 11, 100].map((count) => words.say("more", { count }));
  assert.deepEqual(more, ["إشعار آخر", "إشعاران آخران", "٣ إشعارات أخرى", "١١ إشعارًا آخر", "١٠٠ إشعار آخر"]);
});

test("a title that runs the other way does not turn its sentence", async () => {
  const arabic = await load("ar");
  assert.equal(arabic.dir, "rtl");
  assert.equal(arabic.say("recovered", { title: "Analytics" }), "عادت خدمة \u2068Analytics\u2069 إلى طبيعتها.");
  assert.equal(arabic.say("recovered", { title: "البحث" }), "عادت خدمة البحث إلى طبيعتها.");
  assert.equal(new Words("en").say("recovered", { title: "البحث" }), "\u2068البحث\u2069 is back to normal.");
  assert.equal(new Words("en").say("recovered", { title: "Chat" }), "Chat is back to normal.");
});

test("lists and times are the language's own", async () => {
  const [german, chinese, arabic] = await Promise.all(["de-AT", "zh-Hans-CN", "ar"].map(load));
  assert.equal(german.list(["Chat", "Suche", "Export"]), "Chat, Suche und Export");
  assert.equal(german.relative(-180_000), "vor 3 Minuten");
  assert.equal(german.relative(-26 * 3_600_000), "gestern");
  assert.equal(chinese.relative(-180_000), "3分钟前");
  assert.equal(arabic.relative(-120_000), "قبل دقيقتين");
  const english = new Words("en");
  assert.deepEqual([-59_999, 0, 1, 9_001, 60_001].map((each) => english.relative(each)), [
    "now",
    "now",
    "in 1 second",
    "in 10 seconds",
    "in 2 minutes",
  ]);
});

test("planned work is said in the reader's own time", () => {
  const [starts_at, until] = [new Date(2026, 0, 1, 14), new Date(2026, 0, 1, 15)].map((each) => each.toISOString());
  assert.match(new Words("en").span({ starts_at, until }, 0), /^Jan 1, 2:00\s–\s3:00\sPM$/);
  assert.match(new Words("en").span({ starts_at, until }, 3_600_000), /^Jan 1, 1:00\s–\s2:00\sPM$/);
  assert.equal(new Words("en").span({ starts_at: "soon", until }, 0), "");
});

test("a reader gets the nearest catalogue", async () => {
  const found = await Promise.all(["de-AT", "zh-Hant-TW", "zh", "AR-eg", "en-GB", "fr"].map(load));
  assert.deepEqual(
    found.map((words) => [words.locale, words.say("dismiss")]),
    [["de-AT", "Ausblenden"], ["zh-Hant-TW", "关闭"], ["zh", "关闭"], ["ar-EG", "إخفاء"], ["en-GB", "Dismiss"], ["en", "Dismiss"]],
  );
});

test("a tag that is none leaves English", async (context) => {
  const warned = context.mock.method(console, "warn", () => {});
  assert.equal((await load("no_tag")).locale, "en");
  assert.equal(warned.mock.callCount(), 1);
});

test("a translator adds a language, and what is missing in it is English", async () => {
  add("fr", async () => ({ default: { recovered: "{title} : retour à la normale." } }));
  const words = await load("fr-CA");
  assert.equal(words.locale, "fr-CA");
  assert.equal(words.say("recovered", { title: "Chat" }), "Chat : retour à la normale.");
  assert.equal(words.say("more", { count: 2 }), "2 more notices");
});

test("an application changes a text, and the others stay", async () => {
  add("es", { recovered: "{title}, como nuevo." });
  const words = await load("es-MX");
  assert.equal(words.say("recovered", { title: "Chat" }), "Chat, como nuevo.");
  assert.equal(words.say("dismiss"), "Descartar");
});

test("a catalogue that does not come leaves English", async (context) => {
  const warned = context.mock.method(console, "warn", () => {});
  add("eo", () => Promise.reject(new Error("not there")));
  assert.equal((await load("eo")).locale, "en");
  assert.equal(warned.mock.callCount(), 1);
});

function storage(first = {}) {
  const kept = new Map(Object.entries(first));
  return { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value) };
}

test("dismissals are kept in the storage, the latest of them", () => {
  const box = storage();
  const first = new Dismissals("here", () => box);
  for (let at = 0; at < 80; at += 1) {
    first.add(`service ${at}`, 4, at);
  }
  const kept = new Dismissals("here", () => box).all;
  assert.equal(Object.keys(kept).length, 50);
  assert.deepEqual(kept["service 79"], { at: 79, rank: 4 });
  assert.equal(kept["service 29"], undefined);
  assert.deepEqual(new Dismissals("elsewhere", () => box).all, {});
});

test("a storage that throws, or holds something else, is done without", () => {
  const broken = () => {
    throw new DOMException("forbidden", "SecurityError");
  };
  const boxes = [{ getItem: broken, setItem: broken }, { ...storage(), setItem: broken }, storage({ here: "{" })];
  for (const asked of [broken, ...boxes.map((box) => () => box)]) {
    const dismissals = new Dismissals("here", asked);
    assert.deepEqual(dismissals.all, {});
    dismissals.add("service a", 4, 1);
    assert.equal(dismissals.all["service a"].rank, 4);
  }
});
