export type Status = "up" | "degraded" | "down" | "unknown";
export type Position = { epoch: string; revision: number };

/** One thing that the application stands on. Words that this version does not know may come in every field. */
export interface Service {
  name: string;
  title: string;
  status: Status;
  criticality: "critical" | "optional";
  since: string | null;
  category: string | null;
  caused_by: string[];
  planned?: { starts_at: string; until: string; reason: string; has_begun: boolean };
}

/** One thing that users have. */
export interface Feature {
  name: string;
  title: string;
  status: "available" | "limited" | "unavailable" | "unknown";
  text: string;
  /** The language of ``text`` (a BCP 47 tag); where it is absent, "en". */
  lang?: string;
  because: string[];
}

/** What the server knows: "live", "unwatched" (nobody observes the services), "lost" (it does not reach its source). */
export type Feed = "pending" | "live" | "unwatched" | "lost";

/** Something that a user may be told has happened. */
export interface Happening {
  kind: "up" | "down" | "degraded" | "recovered" | "unknown" | "planned" | "feed";
  /** When, by the server's clock (RFC 3339). */
  at: string;
  /** The service as it is now; null where ``kind`` is "feed". */
  service: Service | null;
  /** The features that this changes, as they are now. */
  features: Feature[];
  /** The server's words; empty where it sent none. */
  text: string;
  /** The language of ``text`` (a BCP 47 tag). */
  lang: string;
  /** Happenings with the same incident belong together; empty where none is known. */
  incident: string;
  /** The feed's new state where ``kind`` is "feed"; otherwise empty. */
  feed: Feed | "";
  /** Found out by the server itself, without its source of status. */
  isLocal: boolean;
  /** Not heard as it happened, but found on connecting or in a fresh snapshot. */
  isFound: boolean;
}

/** A whole message of the protocol, as it came. */
export interface Message {
  type: string;
  v: number;
  at: string;
  text: string;
  /** The language of ``text`` (a BCP 47 tag); where it is absent, "en". */
  lang?: string;
  position?: Position;
  feed?: Feed;
  services?: Service[];
  features?: Feature[];
  retry_after_ms?: number;
}

/**
 * How this browser reaches the server. "paused": out of sight, and without a connection until it is looked at.
 * "offline": there is no network. "ended": the server closed with a code after which reconnecting cannot help.
 * "outdated": the server speaks a newer protocol. The last two stay until ``reconnect()``
 * or until another tab is opened.
 */
export type Connection =
  | "idle"
  | "connecting"
  | "open"
  | "waiting"
  | "offline"
  | "paused"
  | "ended"
  | "outdated"
  | "closed";

/**
 * The one thing to say, worst first: "outdated", "offline" (you have no network), "lost" (we lost the status feed),
 * "refused" (a critical service is down, and the server does not let us in), "connecting" (nothing is known yet),
 * "degraded" (services are not well), "unknown" (some were not observed lately), "well".
 */
export type Standing = "outdated" | "offline" | "lost" | "refused" | "connecting" | "degraded" | "unknown" | "well";

export interface ConnectionChange {
  state: Connection;
  /** When the next attempt is due, in milliseconds since the epoch. */
  retryAt?: number | null;
  /** How the last connection ended. */
  code?: number | null;
  reason?: string;
}

export interface Options {
  /** Hear of these services only. */
  services?: readonly string[];
  /** Hear of these features, and all that they stand on. */
  features?: readonly string[];
  /** The language of the server's words and titles, where it has them (a BCP 47 tag); default is the server's own. */
  locale?: string;
  /** Called before each attempt; what it gives goes with the handshake, as the subprotocol ``ticket.<what it gives>``. */
  getTicket?: (call: { signal: AbortSignal }) => Promise<string | null> | string | null;
  /** Closes the client. */
  signal?: AbortSignal;
  /** Tabs share one connection where the browser has Web Locks and BroadcastChannel; default true. */
  share?: boolean;
  /** Tabs with the same name and locale share; default is the address. */
  shareName?: string;
  /** A hidden tab keeps its connection but opens none; default true. */
  pauseHidden?: boolean;
  /** How long a lost connection is not worth a word, in milliseconds; default 5000. */
  graceMs?: number;
  /** After about so long without news the server is asked whether it is there; default 30000, 0 never asks. */
  heartbeatMs?: number;
  /** Where it is asked; default is the node's ``/livez``. Any answer will do. */
  checkUrl?: string;
  /** A clock and sockets of one's own: for tests, or for a socket that carries more than this. */
  environment?: Partial<Environment>;
}

export interface EventMap {
  /** Anything below; draw what you show again. */
  change: AvailabilityEvent<null>;
  /** A service became another, or work on it is planned. */
  notice: AvailabilityEvent<Happening>;
  /** How far the server's knowledge is to be trusted. */
  feed: AvailabilityEvent<Happening>;
  standing: AvailabilityEvent<{ standing: Standing; before: Standing }>;
  connection: AvailabilityEvent<ConnectionChange>;
  welcome: AvailabilityEvent<Message>;
  waiting: AvailabilityEvent<Message>;
  snapshot: AvailabilityEvent<Message>;
  rejected: AvailabilityEvent<Message>;
  goodbye: AvailabilityEvent<Message>;
  /** An attempt failed before it began; another follows. */
  error: AvailabilityEvent<AvailabilityError>;
}

export class AvailabilityEvent<Detail> extends Event {
  readonly detail: Detail;
}

export class AvailabilityError extends Error {
  /** What went wrong underneath, if anything. */
  readonly cause?: unknown;
}

export class AvailabilityClient extends EventTarget implements AsyncIterable<Happening> {
  /** ``url`` is a node's ``/ws`` or ``/ws/status``, absolute or relative to the page. Nothing happens before ``connect``. */
  constructor(url: string | URL, options?: Options);

  readonly url: string;
  /** By name, in the server's order. */
  readonly services: ReadonlyMap<string, Service>;
  readonly features: ReadonlyMap<string, Feature>;
  readonly position: Position | null;
  readonly feed: Feed;
  readonly isLoaded: boolean;
  /** What is reduced, in the words of the last welcome, waiting or snapshot. */
  readonly text: string;
  /** The language of ``text`` (a BCP 47 tag). */
  readonly lang: string;
  readonly admission: "admitted" | "waiting" | "rejected" | null;
  /** Why the server did not let us in; null once it does. */
  readonly refusal: Message | null;

  readonly standing: Standing;
  /** You are offline: the browser has no network. */
  readonly isOffline: boolean;
  /** We lost the status feed: the server is out of reach for longer than the grace, or does not know itself. */
  readonly isFeedLost: boolean;
  /** The services that are degraded or down, by what was heard last. */
  readonly troubles: Service[];

  readonly connection: Connection;
  /** When the server was last known to be there, in milliseconds since the epoch. */
  readonly lastGood: number;
  readonly retryAt: number | null;
  readonly closeCode: number | null;
  readonly closeReason: string;
  /** Whether this tab holds the connection. */
  readonly isLeading: boolean;

  /**
   * Resolves with the first welcome or waiting; rejects if the client is closed, the server ends it or
   * speaks a newer protocol before that.
   */
  connect(): Promise<this>;
  /** The next attempt now, because a person wants it. */
  reconnect(): void;
  /** Ends the client and everything that waits for it. */
  close(reason?: unknown): void;
  /** What happens from now on. Ends with the client; a reader 1000 behind loses the oldest. */
  notices(options?: { signal?: AbortSignal }): AsyncIterableIterator<Happening>;
  /** Connects, and gives what happens from now on. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Happening>;

  addEventListener<Type extends keyof EventMap>(
    type: Type,
    listener: ((event: EventMap[Type]) => void) | null,
    options?: AddEventListenerOptions | boolean,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: AddEventListenerOptions | boolean,
  ): void;
  removeEventListener<Type extends keyof EventMap>(
    type: Type,
    listener: ((event: EventMap[Type]) => void) | null,
    options?: EventListenerOptions | boolean,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: EventListenerOptions | boolean,
  ): void;
}

/** The copy of what the server knows, without any connection. */
export class Replica {
  readonly position: Position | null;
  readonly feed: Feed;
  readonly services: Map<string, Service>;
  readonly features: Map<string, Feature>;
  readonly isLoaded: boolean;
  apply(message: unknown): Happening[];
}

/** The version of the protocol that this speaks. */
export const VERSION: 1;
/** Whether reconnecting cannot help after this close code. */
export function isFinal(code: number): boolean;
/** Full jitter between half a second and a limit that doubles up to 20 s, in milliseconds. */
export function retryDelay(failures: number, random?: () => number): number;

export interface Environment {
  WebSocket: new (url: string, protocols: string[]) => WebSocket;
  BroadcastChannel?: new (name: string) => BroadcastChannel;
  locks?: LockManager;
  fetch: (url: string, options: RequestInit) => Promise<unknown>;
  setTimeout: (callback: () => void, milliseconds: number) => unknown;
  clearTimeout: (timer: any) => void;
  now: () => number;
  random: () => number;
  isOnline: () => boolean;
  isHidden: () => boolean;
  baseUrl?: string;
  on: (type: string, listener: (event: any) => void, signal: AbortSignal) => void;
}
