export { AvailabilityClient, AvailabilityError, AvailabilityEvent } from "./client.js";
export { isFinal, retryDelay } from "./reconnecting.js";
export { Replica, VERSION } from "./replica.js";
