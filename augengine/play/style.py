"""How the page looks, in the colours of Gradio's theme, and the two scripts that it has."""

from __future__ import annotations

CSS = """
.gradio-container .main.fillable { padding: 10px 16px !important; max-width: 1760px; margin: 0 auto; }
.gradio-container { overflow: clip !important; }
.ae-page { align-items: flex-start; }
.ae-left { position: sticky; top: 8px; gap: 8px !important; }
.ae-grid { display: grid; gap: 6px; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); }
.ae-tile { margin: 0; padding: 0; border: 0; background: none; font: inherit; color: inherit;
  text-align: left; min-width: 0; display: block; align-self: start; }
.ae-tile img { width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 4px; display: block;
  margin: 0; background: var(--background-fill-secondary); }
.ae-tile b { font-weight: 600; }
.ae-tile figcaption, .ae-said { font-size: 11px; line-height: 1.3; color: var(--body-text-color);
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden;
  margin-top: 3px; overflow-wrap: anywhere; }
button.ae-tile { cursor: zoom-in; }
button.ae-tile:hover img, button.ae-tile:focus-visible img { outline: 2px solid var(--color-accent); }
.ae-trace { padding: 10px 12px; border: 1px solid var(--border-color-primary); border-radius: 8px; }
.ae-trace h3 { margin: 0 0 2px; font-size: 14px; font-weight: 600; overflow-wrap: anywhere; }
.ae-trace p { margin: 0 0 8px; font-size: 13px; }
.ae-steps { display: grid; gap: 10px; grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); }
.ae-steps figcaption { -webkit-line-clamp: 7; }
.ae-steps i { font-style: normal; font-weight: 600; white-space: nowrap; }
.ae-hint { font-size: 12px !important; line-height: 1.4; opacity: 0.8; margin: 2px 0 !important; }
.ae-error { padding: 8px 12px; border-radius: 8px; border: 1px solid var(--error-border-color);
  font-size: 13px; background: var(--error-background-fill); color: var(--error-text-color);
  overflow-wrap: anywhere; }
#ae-error:not(:has(.ae-error)), #ae-explained:not(:has(.ae-trace)) { display: none; }
#ae-steps .wrap { flex-direction: column; align-items: stretch; gap: 3px; }
#ae-steps label { padding: 5px 10px; font-size: 13px; white-space: pre-wrap; overflow-wrap: anywhere; }
#ae-about h3 { margin: 4px 0 0; font-size: 15px; font-weight: 600; }
#ae-about p { font-size: 13px; margin: 2px 0 4px; }
#ae-about code, #ae-form code { font-family: var(--font-mono); font-size: 0.92em; }
@media (max-width: 760px) {
  .gradio-container .main.fillable { padding: 6px !important; }
  /* The pictures stay in sight while sliders are moved below them. */
  .ae-left { display: contents !important; }
  #ae-pictures { position: sticky; top: 0; z-index: 60; max-height: 42vh; overflow: auto !important;
    background: var(--body-background-fill) !important; padding-bottom: 4px; }
  .ae-grid { gap: 3px; grid-template-columns: repeat(var(--columns), minmax(84px, 1fr)); }
  .ae-said, .ae-grid figcaption span { display: none; }
  .ae-grid figcaption { -webkit-line-clamp: 1; }
}
"""

# A click on a tile, told to the server with its place.
GRID_SCRIPT = """
element.addEventListener("click", (event) => {
    const tile = event.target.closest("button.ae-tile");
    if (tile) trigger("tile", {row: Number(tile.dataset.row), draw: Number(tile.dataset.draw)});
});
"""

HEAD = '<meta name="robots" content="noindex">'
