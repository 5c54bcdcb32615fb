// A part that looks for news by itself leaves alone what is being read or used in it.
(() => {
  "use strict";

  function busy(part) {
    const focused = part.contains(document.activeElement);
    const selected = !getSelection().isCollapsed && part.contains(getSelection().anchorNode);
    return document.hidden || focused || selected;
  }

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.matches("[data-poll]") && busy(event.target.parentElement)) event.preventDefault();
  });
})();
