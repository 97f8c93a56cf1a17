// Words in the reader's language: catalogues, and what Intl knows of numbers, lists and times.

import en from "./texts/en.js";

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufefc]/;
const UNITS = { day: 86_400_000, hour: 3_600_000, minute: 60_000 };

/** How often something was added. */
export let added = 0;

// All but the English one are loaded when they are wanted.
const catalogues = new Map([
  ["en", en],
  ["ar", () => import("./texts/ar.js")],
  ["de", () => import("./texts/de.js")],
  ["es", () => import("./texts/es.js")],
  ["zh-CN", () => import("./texts/zh-CN.js")],
]);

/** Adds a language, or says it anew; ``catalogue`` is an object of texts, or a function that imports one. */
export function add(locale, catalogue) {
  catalogues.set(locale, catalogue);
  added += 1;
}

/** The words for a language tag: of the same catalogue, or of another of the same language, or English. */
export async function load(tag) {
  const [wanted] = Intl.getCanonicalLocales(tag);
  const isNear = (each) => primary(each) === primary(wanted);
  const name = catalogues.has(wanted) ? wanted : ([...catalogues.keys()].find(isNear) ?? "en");
  const found = catalogues.get(name);
  return makeWords(isNear(name) ? wanted : name, typeof found === "function" ? (await found()).default : found);
}

export function makeWords(locale = "en", texts = en) {
  // A value that runs the other way is kept from turning the sentence around it.
  function insert(value) {
    return RIGHT_TO_LEFT.test(value) === (texts.dir === "rtl") ? value : `\u2068${value}\u2069`;
  }

  return {
    locale,
    /** A message with its ``{values}``; one in several forms takes that of ``count``. Empty if there is no such message. */
    say(key, values = {}) {
      const found = texts[key] ?? en[key] ?? "";
      const text = found.other ? (found[new Intl.PluralRules(locale).select(values.count)] ?? found.other) : found;
      return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
    },

    /** Whether the server wrote in the reader's language. */
    speaks: (lang) => primary(lang) === primary(locale),

    list: (items) => new Intl.ListFormat(locale).format(items.map(insert)),

    /** How long ago something was (below zero), or in how long it will be. */
    relative(time) {
      const unit = Object.keys(UNITS).find((each) => Math.abs(time) >= UNITS[each]) ?? "second";
      const size = UNITS[unit] ?? (time < 0 ? Infinity : 1_000);
      return new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(Math.ceil(time / size), unit);
    },

    /** From one time to another, in the reader's own. */
    span(from, to) {
      const format = { month: "short", day: "numeric", hour: "numeric", minute: "numeric" };
      return insert(new Intl.DateTimeFormat(locale, format).formatRange(from, to));
    },
  };
}

function primary(tag) {
  return tag.toLowerCase().split("-")[0];
}
