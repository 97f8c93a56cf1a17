// Getting a token for a name.

import { retryDelay } from "./sdk/index.js";

/**
 * Gives ``token``; or ``wrong``, words for a name that is not taken; or ``away``, words for that nobody can sign in now,
 * with ``retryMs``. ``failures`` counts the attempts in a row that found nobody.
 */
export async function signIn(name, failures = 0) {
  let answer;
  let said;
  try {
    answer = await fetch(new URL("login", document.baseURI), { method: "POST", body: JSON.stringify({ name }) });
    said = await answer.json();
  } catch {
    const away = navigator.onLine ? "The chat does not answer." : "You are offline.";
    return { away, retryMs: retryDelay(failures + 1) };
  }
  if (answer.ok) {
    return { token: said.token };
  }
  if (answer.status < 500) {
    return { wrong: typeof said.detail === "string" ? said.detail : "This name is not taken. Please try another." };
  }
  return { away: said.detail ?? "Nobody can sign in right now.", retryMs: said.retry_after_ms ?? retryDelay(failures + 1) };
}
