// A part that looks for news by itself leaves alone what is being read or used in it. A link, a
// button or a tick that has an id keeps its focus when its part is replaced: htmx sees to that.
(() => {
  "use strict";

  const KEEPS_FOCUS = "a[id], button[id], input[type='checkbox'][id]";

  function busy(part) {
    const focused = part.contains(document.activeElement) && !document.activeElement.matches(KEEPS_FOCUS);
    const selected = !getSelection().isCollapsed && part.contains(getSelection().anchorNode);
    return document.hidden || focused || selected;
  }

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.matches("[data-poll]") && busy(event.target.parentElement)) event.preventDefault();
  });

  // While no answer comes, what the part shows may be over: its clocks stand still (see times.js).
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.target.matches("[data-poll]")) event.target.parentElement?.toggleAttribute("data-stale", !event.detail.successful);
  });
})();
