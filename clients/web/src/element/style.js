// How it looks, as a constructed style sheet, so that a strict Content-Security-Policy is enough. Colours are one tint a
// level; border and background are mixed of it.

export const style = `
:host {
  --ink: var(--service-notices-ink, light-dark(#161b22, #e8ecf1));
  --soft: var(--service-notices-soft, light-dark(#4d5764, #a9b4c0));
  --surface: var(--service-notices-surface, light-dark(#fff, #171c23));
  --tint: var(--service-notices-planned, light-dark(#2b5599, #8db8ff));
  color-scheme: light dark;
  display: grid;
  color: var(--ink);
  font: var(--service-notices-font, 0.9375rem/1.45 system-ui, sans-serif);
  text-autospace: normal;
  outline: none;
}
:host([hidden]), [hidden] { display: none !important; }
:host(:not([mode="line"])) {
  position: sticky;
  inset-block-start: 0;
  z-index: var(--service-notices-layer, 10);
  block-size: 0;
}
[role="region"] { padding: var(--service-notices-gap, 0.5rem); }
[part="box"] {
  box-sizing: border-box;
  inline-size: min(100%, var(--service-notices-inline-size, 46rem));
  margin: auto;
  container-type: inline-size;
  overflow-wrap: anywhere;
}
[part="list"] { display: grid; margin: 0; padding: 0; }
[role="group"] > ul { justify-items: center; }
p { margin: 0; }
li {
  display: grid;
  margin-block-end: var(--service-notices-gap, 0.5rem);
  border: 1px solid color-mix(in srgb, var(--tint) 30%, var(--surface));
  border-radius: var(--service-notices-radius, 0.75rem);
  background: color-mix(in srgb, var(--tint) 8%, var(--surface));
}
[role="region"] :is(li, [part~="more"]) { box-shadow: var(--service-notices-shadow, 0 1px 2px #0002, 0 6px 20px #0002); }
[data-level="down"] { --tint: var(--service-notices-down, light-dark(#b3261e, #ff8f86)); }
[data-level="degraded"] { --tint: var(--service-notices-degraded, light-dark(#825500, #f0bd5b)); }
[data-level="up"] { --tint: var(--service-notices-up, light-dark(#13734a, #5fd39a)); }
[part="card"] {
  display: grid;
  grid-template: "icon body dismiss" ". action action" / auto 1fr auto;
  align-items: start;
  min-block-size: 0;
  overflow: hidden;
}
svg { inline-size: 1.25rem; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; }
[part="card"] > svg { margin: 0.6875rem 0 0 0; margin-inline-start: 0.75rem; color: var(--tint); }
[part="body"] { padding: 0.625rem; }
[part="label"] { color: var(--tint); }
[part="headline"] { font-weight: 500; }
[part="details"] { color: var(--soft); font-size: 0.9333em; }
[part="sending"] { display: block; color: var(--ink); font-weight: 500; }
button {
  min-block-size: 2rem;
  border: 1px solid #0000;
  border-radius: 0.5rem;
  padding: 0 0.75rem;
  background: none;
  color: inherit;
  font: inherit;
}
button:hover { background: color-mix(in srgb, var(--tint) 16%, var(--surface)); }
button:focus-visible { outline: 2px solid; outline-offset: -3px; }
[part~="action"], [part~="more"] { border-color: color-mix(in srgb, var(--tint) 50%, var(--surface)); }
[part~="action"] { grid-area: action; justify-self: start; margin: 0 0.625rem 0.625rem; font-weight: 600; }
[aria-disabled="true"] { opacity: 0.5; }
[part~="dismiss"] { grid-area: dismiss; margin: 0.3125rem; padding: 0.3125rem; line-height: 0; }
[part~="more"] { display: block; margin: auto; background: var(--surface); }
@container (min-width: 34rem) {
  [part="card"] { grid-template: "icon body action dismiss" / auto 1fr auto; }
  [part~="action"] { margin: 0.3125rem 0; }
}
@media (pointer: coarse) {
  button { min-block-size: 2.75rem; min-inline-size: 2.75rem; }
}
@media (forced-colors: active) {
  button { border-color: ButtonBorder; }
}
@media (prefers-reduced-motion: no-preference) {
  li { animation: come 0.2s; }
  [inert] { animation: go 0.2s forwards; }
}
@keyframes come { from { grid-template-rows: 0fr; opacity: 0; } to { grid-template-rows: 1fr; } }
@keyframes go { from { grid-template-rows: 1fr; } to { grid-template-rows: 0fr; margin: 0; opacity: 0; } }
[role="status"], [role="alert"] { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); }
`;
