// What the client tells, and what it throws.

/** An event of the client; ``detail`` depends on its type. */
export class AvailabilityEvent extends Event {
  constructor(type, detail) {
    super(type);
    this.detail = detail;
  }
}

/** The client cannot go on. The message says what to do. */
export class AvailabilityError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = "AvailabilityError";
  }
}
