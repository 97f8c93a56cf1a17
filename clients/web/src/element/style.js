// How it looks, as a constructed style sheet, so that a strict Content-Security-Policy is enough. Colours are one tint a
// level; everything else is mixed of it. A notice that goes folds away if it is the last, and else makes way at once: it
// would be pushed about.

export const style = `
:host {
  --ink: var(--service-notices-ink, light-dark(#161b22, #e8ecf1));
  --surface: var(--service-notices-surface, light-dark(#fff, #171c23));
  --tint: var(--service-notices-planned, light-dark(#2b5599, #8db8ff));
  color-scheme: light dark;
  display: grid;
  color: var(--ink);
  font: var(--service-notices-font, 0.9375rem/1.45 system-ui, sans-serif);
}
:host([hidden]), [hidden], ul:empty { display: none; }
:host(:not([mode="line"])) {
  position: sticky;
  inset-block-start: 0;
  z-index: 10;
  block-size: 0;
  li { box-shadow: 0 4px 16px #0003; }
  li + li:not(:hover, :focus-within) [part="details"] { max-block-size: 0; overflow: hidden; }
}
ul {
  display: grid;
  box-sizing: border-box;
  gap: 0.5rem;
  inline-size: min(100%, 46rem);
  margin: auto;
  padding: 0.5rem;
  overflow-wrap: anywhere;
}
:host([mode="line"]) ul { justify-items: center; padding: 0; }
p { margin: 0; }
li {
  display: grid;
  grid-template-rows: 1fr;
  border: 1px solid color-mix(in srgb, var(--tint) 30%, var(--surface));
  border-radius: var(--service-notices-radius, 0.75rem);
  background: color-mix(in srgb, var(--tint) 8%, var(--surface));
}
[part~="down"] { --tint: var(--service-notices-down, light-dark(#b3261e, #ff8f86)); }
[part~="degraded"] { --tint: var(--service-notices-degraded, light-dark(#825500, #f0bd5b)); }
[part~="up"] { --tint: var(--service-notices-up, light-dark(#13734a, #5fd39a)); }
li > div { display: flex; gap: 0.625rem; overflow: hidden; padding-inline: 0.75rem; }
[part="body"] { flex: 1; padding-block: 0.625rem; }
svg { inline-size: 1.25rem; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; }
div > svg { flex: none; block-size: 2.625rem; }
strong, div > svg { color: var(--tint); }
[part="details"] { color: color-mix(in srgb, var(--ink) 78%, var(--surface)); font-size: 0.875rem; }
[part="headline"], [part="sending"] { color: var(--ink); font-weight: 500; }
button { min-block-size: 2rem; border: 0; border-radius: 0.5rem; background: none; color: inherit; font: inherit; }
button:hover { outline: 1px solid; }
button:focus-visible { outline: 2px solid; }
[part~="action"] { margin-block-start: 0.5rem; border: 1px solid; padding: 0 0.75rem; font-weight: 500; }
[part~="dismiss"] { align-self: start; margin: 0.25rem -0.5rem; padding: 0.375rem; line-height: 0; }
p[role] { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; opacity: 0; }
[inert] { grid-template-rows: 0fr; opacity: 0; }
ul:has(> :not([inert])) [inert] { display: none; }
@starting-style { li { opacity: 0; } }
@media (prefers-reduced-motion: no-preference) { li { transition: 0.2s; } }
`;
