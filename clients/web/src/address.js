// Where the server is, what is asked of it, and who shares the answers.

import { AvailabilityError } from "./events.js";
import { VERSION } from "./replica.js";

/** The address to connect to, absolute and with all that is asked for. */
export function socketUrl(url, { services, features, locale }, base) {
  let address;
  try {
    address = new URL(url, base);
    address.protocol = address.protocol.replace(/^http/, "ws");
    if (!/^wss?:$/.test(address.protocol)) {
      throw new TypeError(`WebSockets do not speak ${address.protocol}`); // also of a relative address in a local file
    }
  } catch (error) {
    throw new AvailabilityError(`"${url}" is no address; give one like wss://example.org/ws/status`, { cause: error });
  }
  address.hash = "";
  for (const [name, wanted] of Object.entries({ services, features })) {
    if (wanted?.length) {
      address.searchParams.set(name, wanted.join(","));
    }
  }
  if (locale) {
    address.searchParams.set("locale", locale);
  }
  return address;
}

/** Where any answer means that the server is there: the node's /livez, beside its /ws. */
export function checkUrl(address) {
  const found = new URL(address);
  found.protocol = found.protocol.replace(/^ws/, "http");
  found.pathname = found.pathname.replace(/(\/ws(\/status)?|\/[^/]*)$/, "/livez");
  found.search = "";
  return found.href;
}

/** What tabs share by; null where they do not. Those that share hear the same words, so they are of one language. */
export function shareName({ share = true, shareName: name, locale }, address) {
  return share ? ["status-broadcaster", VERSION, name ?? address.href, locale].join(" ") : null;
}
