// Words in the reader's language: catalogues, and what Intl knows of numbers, lists and times.

import en from "./texts/en.js";

const RIGHT_TO_LEFT = /^(ar|ckb|dv|fa|he|ps|sd|ug|ur|yi)$/;
const LETTERS_OF_THESE = /[\u0590-\u08ff\ufb1d-\ufefc]/;
const UNITS = { day: 86_400_000, hour: 3_600_000, minute: 60_000 };

// All but the English one are loaded when they are wanted.
const catalogues = new Map([
  ["en", [en]],
  ["ar", [() => import("./texts/ar.js")]],
  ["de", [() => import("./texts/de.js")]],
  ["es", [() => import("./texts/es.js")]],
  ["zh-CN", [() => import("./texts/zh-CN.js")]],
]);

/** Adds a language, or texts to one; ``catalogue`` is an object of texts, or a function that imports one. */
export function add(locale, catalogue) {
  catalogues.set(locale, [...(catalogues.get(locale) ?? []), catalogue]);
}

/** The words for a language tag: of the same catalogue, or of another of the same language, or English. */
export async function load(tag) {
  try {
    const [wanted] = Intl.getCanonicalLocales(tag);
    const names = [...catalogues.keys()];
    const name = names.find((each) => each === wanted) ?? names.find((each) => primary(each) === primary(wanted)) ?? "en";
    const loaded = catalogues.get(name).map((each) => (typeof each === "function" ? each() : each));
    const texts = (await Promise.all(loaded)).map((each) => each.default ?? each);
    return new Words(primary(name) === primary(wanted) ? wanted : name, Object.assign({}, ...texts));
  } catch (error) {
    console.warn(`service-notices speaks English, as it cannot speak ${tag}:`, error);
    return new Words();
  }
}

export class Words {
  #texts;

  constructor(locale = "en", texts = en) {
    this.locale = locale;
    this.dir = RIGHT_TO_LEFT.test(primary(locale)) ? "rtl" : "ltr";
    this.#texts = texts;
  }

  /** A message with its ``{values}``; one in several forms takes that of ``count``. Empty where there is no such message. */
  say(key, values = {}) {
    const found = this.#texts[key] ?? en[key] ?? "";
    const text = found.other ? (found[new Intl.PluralRules(this.locale).select(values.count)] ?? found.other) : found;
    return text.replace(/\{(\w+)\}/g, (_, name) => this.#value(values[name]));
  }

  /** Whether the server wrote in the reader's language. */
  speaks(lang) {
    return primary(lang || "en") === primary(this.locale);
  }

  list(items) {
    return new Intl.ListFormat(this.locale).format(items.map((each) => this.#value(each)));
  }

  /** How long ago something was (below zero), or in how long it will be. */
  relative(milliseconds) {
    const unit = Object.keys(UNITS).find((each) => Math.abs(milliseconds) >= UNITS[each]) ?? "second";
    const size = UNITS[unit] ?? (milliseconds < 0 ? Infinity : 1_000);
    const format = new Intl.RelativeTimeFormat(this.locale, { numeric: "auto" });
    return format.format(Math.ceil(milliseconds / size), unit);
  }

  /** From when to when work is planned, in the reader's own time. */
  span(planned, skew) {
    const times = [planned?.starts_at, planned?.until].map((each) => Date.parse(each) - skew);
    const format = new Intl.DateTimeFormat(this.locale, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
    return times.some(Number.isNaN) ? "" : format.formatRange(...times);
  }

  // A value that runs the other way is kept from turning the sentence around it.
  #value(value) {
    const text = typeof value === "number" ? new Intl.NumberFormat(this.locale).format(value) : `${value}`;
    return LETTERS_OF_THESE.test(text) === (this.dir === "rtl") ? text : `\u2068${text}\u2069`;
  }
}

function primary(tag) {
  return tag.toLowerCase().split("-")[0];
}
