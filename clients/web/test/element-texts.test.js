// The element's words: catalogues, plurals, lists, times, directions, and what is remembered of dismissals.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";

import { makeDismissals } from "../src/element/dismissals.js";
import en from "../src/element/texts/en.js";
import { add, load, makeWords } from "../src/element/words.js";

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

test("Arabic counts in six ways", async () => {
  const words = await load("ar-EG");
  const said = [1, 2, 3, 11, 100].map((count) => words.say("down", { title: "س", count }));
  assert.equal(new Set(said).size, 3);
  assert.deepEqual(said.slice(0, 2), ["خدمة س غير متاحة.", "خدمتا س غير متاحتين."]);
});

test("a title that runs the other way does not turn its sentence", async () => {
  const arabic = await load("ar");
  assert.equal(arabic.say("dir"), "rtl");
  assert.equal(arabic.list(["Analytics"]), "\u2068Analytics\u2069");
  assert.equal(arabic.list(["البحث"]), "البحث");
  assert.equal(makeWords("en").list(["البحث", "Chat"]), "\u2068البحث\u2069 and Chat");
});

test("lists and times are the language's own", async () => {
  const [german, chinese, arabic] = await Promise.all(["de-AT", "zh-Hans-CN", "ar"].map(load));
  assert.equal(german.list(["Chat", "Suche", "Export"]), "Chat, Suche und Export");
  assert.equal(german.relative(-180_000), "vor 3 Minuten");
  assert.equal(german.relative(-26 * 3_600_000), "gestern");
  assert.equal(chinese.relative(-180_000), "3分钟前");
  assert.equal(arabic.relative(-120_000), "قبل دقيقتين");
  const english = makeWords("en");
  assert.deepEqual([-59_999, 0, 1, 9_001, 60_001].map((each) => english.relative(each)), [
    "now",
    "now",
    "in 1 second",
    "in 10 seconds",
    "in 2 minutes",
  ]);
});

test("planned work is said in the reader's own time", () => {
  const [from, to] = [new Date(2026, 0, 1, 14), new Date(2026, 0, 1, 15)].map(Number);
  assert.match(makeWords("en").span(from, to), /^Jan 1, 2:00\s–\s3:00\sPM$/);
});

test("a reader gets the nearest catalogue", async () => {
  const found = await Promise.all(["de-AT", "zh-Hant-TW", "zh", "AR-eg", "en-GB", "fr"].map(load));
  assert.deepEqual(
    found.map((words) => [words.locale, words.say("dismiss")]),
    [["de-AT", "Ausblenden"], ["zh-Hant-TW", "关闭"], ["zh", "关闭"], ["ar-EG", "إخفاء"], ["en-GB", "Dismiss"], ["en", "Dismiss"]],
  );
});

test("a translator adds a language, and what is missing in it is English", async () => {
  add("fr", async () => ({ default: { recovered: "{title} : retour à la normale." } }));
  const words = await load("fr-CA");
  assert.equal(words.locale, "fr-CA");
  assert.equal(words.say("recovered", { title: "Chat" }), "Chat : retour à la normale.");
  assert.equal(words.say("dismiss"), "Dismiss");
});

test("an application says a language anew", async () => {
  const { default: spanish } = await import("../src/element/texts/es.js");
  add("es", { ...spanish, recovered: "{title}, como nuevo." });
  const words = await load("es-MX");
  assert.equal(words.say("recovered", { title: "Chat" }), "Chat, como nuevo.");
  assert.equal(words.say("dismiss"), "Descartar");
});

test("what cannot be loaded, and what is no language, is refused", async () => {
  add("eo", () => Promise.reject(new Error("not there")));
  await assert.rejects(load("eo"), /not there/);
  await assert.rejects(load("no_tag"), RangeError);
});

test("dismissals are kept in the storage, the latest of them", () => {
  const box = {};
  const first = makeDismissals("here", () => box);
  for (let at = 0; at < 80; at += 1) {
    first.add(`service ${at % 60}`, 4, at);
  }
  const kept = makeDismissals("here", () => box).all();
  assert.equal(Object.keys(kept).length, 50);
  assert.deepEqual(kept["service 19"], { at: 79, rank: 4 });
  assert.equal(kept["service 29"], undefined);
  assert.deepEqual(makeDismissals("elsewhere", () => box).all(), {});
});

test("a storage that throws, or holds something else, is done without", () => {
  const broken = () => {
    throw new DOMException("forbidden", "SecurityError");
  };
  const full = new Proxy({}, { set: broken });
  for (const asked of [broken, () => full, () => ({ here: "{" }), () => ({ here: "null" })]) {
    const dismissals = makeDismissals("here", asked);
    assert.deepEqual(dismissals.all(), {});
    dismissals.add("service a", 4, 1);
    assert.equal(dismissals.all()["service a"].rank, 4);
  }
});
