import type { Connection, Feature, Message, Service, Standing } from "../index.js";

/**
 * What the element needs of a client; an ``AvailabilityClient`` is one. An application that hears of its services another
 * way makes its own of a ``Replica``: it fires ``change`` after every change and, before that, ``notice`` with the happening.
 */
export interface Client {
  addEventListener(type: string, listener: (event: any) => void, options?: AddEventListenerOptions): void;
  readonly standing: Standing;
  readonly services: ReadonlyMap<string, Service>;
  readonly features: ReadonlyMap<string, Feature>;
  /** Where it is "open" while the standing is "lost", it is the server that does not know. */
  readonly connection?: Connection;
  /** Needed while the standing is "refused". */
  readonly refusal?: Message | null;
  /** When the next attempt is due, in milliseconds since the epoch. */
  readonly retryAt?: number | null;
  /** When the server was last known to be there, in milliseconds since the epoch. */
  readonly lastGood?: number;
  /** Dismissals are remembered by it. */
  readonly url?: string;
  /** For the button that tries at once. */
  reconnect?(): void;
}

/** What happens to a message that is sent now; "queued": kept and sent later; "blocked": it cannot be sent. */
export type Sending = "ok" | "queued" | "blocked";

/** What a notice is about: "flapping", it comes and goes; "queued" and "blocked", only the application knows why. */
export type Kind =
  | "blocked"
  | "degraded"
  | "down"
  | "flapping"
  | "lost"
  | "offline"
  | "outdated"
  | "planned"
  | "queued"
  | "recovered"
  | "refused"
  | "waiting";

/** ``detail`` of ``service-notices-shown`` and ``service-notices-hidden``. */
export interface NoticeDetail {
  /** The server's id of the incident; where none is known, the service's name, "connection" or "sending". */
  incident: string;
  kind: Kind;
  /** The names of the services that it is about; the one that explains the others first. */
  services: string[];
}

/** The texts of a language: see texts/en.js for the keys. One in several forms has one for each plural category. */
export type Catalogue = Record<string, string | Partial<Record<Intl.LDMLPluralRule, string>>>;

/**
 * ``<service-notices src="/ws/status" mode="banner" lang="de" services="auth analytics" sending="ok">``. What each attribute,
 * custom property and part does is in the README.
 */
export class ServiceNotices extends HTMLElement {
  /** Adds a language or says one anew, for all of the page: its texts, or a function that imports them. */
  static texts(locale: string, catalogue: Catalogue | (() => Promise<{ default: Catalogue }>)): void;
  /** What it listens to. Set one of your own, or let it make one of ``src``; null before either. */
  get client(): Client | null;
  set client(client: Client | null);
}

/** One notice as ``present()`` decides it; the worst, or in a conversation the first, comes first. */
export interface Line extends NoticeDetail {
  key: string;
  level: "down" | "degraded" | "planned" | "up";
  /** How bad it is, in a word or two; empty where the headline says it. */
  label: string;
  headline: string;
  /** What is affected, what still works. */
  details: string[];
  /** What happens to messages; empty on all lines but one. */
  sending: string;
  /** Since when, or when the next attempt is due. */
  when: string;
  action: "retry" | "reload" | "";
  isBlocked: boolean;
  isDismissable: boolean;
  rank: number;
}

declare global {
  interface HTMLElementTagNameMap {
    "service-notices": ServiceNotices;
  }
  interface HTMLElementEventMap {
    "service-notices-shown": CustomEvent<NoticeDetail>;
    "service-notices-hidden": CustomEvent<NoticeDetail>;
  }
}
