// One checkbox in the head of a list ticks all rows that are shown, or none.
(() => {
  "use strict";

  const boxes = () => [...document.querySelectorAll("[data-tick]")];

  function show() {
    const all = document.querySelector("[data-tick-all]");
    if (!all) return;
    const ticked = boxes().filter((box) => box.checked).length;
    all.checked = ticked > 0 && ticked === boxes().length;
    all.indeterminate = ticked > 0 && !all.checked;
  }

  function changed({ target }) {
    if (target.matches("[data-tick-all]")) boxes().forEach((box) => { box.checked = target.checked; });
    if (target.matches("[data-tick-all], [data-tick]")) show();
  }

  document.addEventListener("change", changed);
  document.addEventListener("htmx:afterSettle", show);
  window.addEventListener("pageshow", show); // a browser may bring back ticks
})();
