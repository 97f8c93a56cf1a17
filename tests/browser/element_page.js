// Makes a page of a chat around <service-notices>, on a document that allows no inline script or style.
(async ({ css, html, lang, theme }) => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets = [sheet];
  document.documentElement.lang = lang;
  document.documentElement.dir = lang === "ar" ? "rtl" : "ltr";
  document.documentElement.className = theme;
  document.title = "A chat";
  window.events = [];
  for (const type of ["service-notices-shown", "service-notices-hidden"]) {
    addEventListener(type, ({ detail }) => window.events.push([type.split("-")[2], detail.incident, detail.kind]));
  }
  window.shift = 0;
  new PerformanceObserver((list) => {
    for (const { value } of list.getEntries()) {
      window.shift += value;
    }
  }).observe({ type: "layout-shift", buffered: false });
  const body = document.createElement("body"); // custom elements stay plain in that of a document that is no HTML
  body.innerHTML = html;
  document.body.replaceWith(body);
  await import("/sdk/element/index.js");
  window.notices = document.querySelector("service-notices");

  // A client of the application's own, which hears what a test says.
  const { Replica } = await import("/sdk/index.js");
  window.Scripted = class extends EventTarget {
    #replica = new Replica();
    url = "scripted";
    standing = "well";
    connection = "open";
    lastGood = Date.now();
    get services() {
      return this.#replica.services;
    }
    get features() {
      return this.#replica.features;
    }
    say(messages, state = {}) {
      for (const message of messages) {
        for (const happening of this.#replica.apply(message)) {
          this.dispatchEvent(Object.assign(new Event("notice"), { detail: happening }));
        }
      }
      Object.assign(this, state);
      this.dispatchEvent(new Event("change"));
    }
  };
})
