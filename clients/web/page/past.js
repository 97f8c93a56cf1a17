// What only the server makes: days, incidents, and what operators see. It is fetched again some time after news, when
// others do not ask as well, and now and then as time passes.

const SOON_MS = [1_500, 15_000];
const REGULARLY_MS = { users: [600_000, 900_000], operators: [4_000, 6_000] };

export class Past {
  #timer = 0;
  #dueAt = Infinity;
  #onRenewed;
  #regularly;

  // ``onRenewed`` is called with the names of the incidents that are shown from then on.
  constructor(onRenewed) {
    this.#onRenewed = onRenewed;
    this.#regularly = REGULARLY_MS[document.getElementById("page").dataset.audience] ?? REGULARLY_MS.users;
    this.#plan(this.#regularly);
    document.addEventListener("visibilitychange", () => document.hidden || this.#dueAt > Date.now() || this.#renew());
  }

  renewSoon() {
    this.#plan(SOON_MS);
  }

  #plan([least, most]) {
    const dueAt = Date.now() + least + Math.random() * (most - least);
    if (dueAt < this.#dueAt || this.#dueAt < Date.now()) {
      clearTimeout(this.#timer);
      this.#dueAt = dueAt;
      this.#timer = setTimeout(() => document.hidden || this.#renew(), dueAt - Date.now());
    }
  }

  async #renew() {
    this.#dueAt = Infinity;
    this.#plan(this.#regularly);
    try {
      const answer = await fetch(location.href, { cache: "no-cache" });
      if (answer.ok) {
        this.#show(new DOMParser().parseFromString(await answer.text(), "text/html"));
      }
    } catch {
      // The connection's own trouble is told elsewhere, and the next time comes.
    }
  }

  #show(made) {
    for (const row of document.querySelectorAll("#services .row")) {
      const anew = made.querySelector(`#services .row[data-name="${CSS.escape(row.dataset.name)}"]`);
      const [shown, next] = [row, anew].map((each) => each?.querySelector(".past"));
      if ("untold" in row.dataset) {
        replaceUntold(row, anew);
      } else if (next && shown) {
        replace(shown, next);
      } else if (next) {
        row.append(document.adoptNode(next));
      }
    }
    const incidents = made.getElementById("incidents");
    if (incidents) {
      replace(document.getElementById("incidents"), incidents);
      this.#onRenewed(new Set([...document.querySelectorAll(".incident")].map((each) => each.dataset.incident)));
    }
  }
}

// A row that the feed does not tell of is all the server's.
function replaceUntold(row, anew) {
  if (anew) {
    anew.dataset.untold = "";
    replace(row, anew);
  } else {
    row.remove();
  }
}

// Puts the new in the place of the old where it differs; what was unfolded or focused stays so.
function replace(shown, next) {
  const folding = (node) => new Map([...node.querySelectorAll("details")].map((each) => [each.dataset.of, each]));
  const before = folding(shown);
  for (const [of, details] of folding(next)) {
    details.open = before.get(of)?.open ?? details.open;
  }
  if (shown.isEqualNode(next)) {
    return;
  }
  const focused = shown.contains(document.activeElement) && document.activeElement.closest("details")?.dataset.of;
  shown.replaceWith(document.adoptNode(next));
  if (focused) {
    folding(next).get(focused)?.querySelector("summary").focus();
  }
}
