// What outlives a reload of this tab, and only of this one: two tabs may be two people.

/** ``sessionStorage`` as values; without it (it may be switched off) nothing outlives anything. */
export const keeping = {
  get(name, otherwise = null) {
    try {
      return JSON.parse(sessionStorage.getItem(`chat ${name}`)) ?? otherwise;
    } catch {
      return otherwise;
    }
  },

  set(name, value) {
    try {
      if (value === null || value === "") {
        sessionStorage.removeItem(`chat ${name}`);
      } else {
        sessionStorage.setItem(`chat ${name}`, JSON.stringify(value));
      }
    } catch {
      // it is full, or switched off
    }
  },
};
