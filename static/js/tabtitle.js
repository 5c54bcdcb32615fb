// How far a run is, in the title of its tab.
(() => {
  "use strict";

  const root = document.querySelector("[data-live='run']");
  if (!root) return;
  const PERCENT = /^\d+ % · /;
  const name = document.title.replace(PERCENT, "");

  function tell() {
    const bar = document.querySelector("#run-progress progress");
    const isActive = root.querySelector("[data-active]")?.dataset.active === "yes";
    const part = bar && isActive ? `${Math.round((100 * bar.value) / bar.max)} % · ` : "";
    if (document.title !== part + name) document.title = part + name;
  }

  document.addEventListener("htmx:oobAfterSwap", tell);
})();
