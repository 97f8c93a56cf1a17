export { AvailabilityClient } from "./client.js";
export { AvailabilityError, AvailabilityEvent } from "./events.js";
export { isFinal, retryDelay } from "./reconnecting.js";
export { Replica, VERSION } from "./replica.js";
