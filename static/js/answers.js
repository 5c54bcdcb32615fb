// The arrow keys lead from step to step, unless they are needed where the focus is.
(() => {
  "use strict";

  const LINKS = { ArrowLeft: "prev", ArrowRight: "next" };
  const NEEDS_ARROWS = "input, select, textarea, [contenteditable], [tabindex='0'], summary";

  document.addEventListener("keydown", (event) => {
    const rel = LINKS[event.key];
    const held = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
    if (!rel || held || event.defaultPrevented || event.target.closest(NEEDS_ARROWS)) return;
    document.querySelector(`[data-steps] a[rel="${rel}"]`)?.click();
  });
})();
