// How far a run is, in the title of its tab.
(() => {
  "use strict";

  const root = document.querySelector("[data-live='run']");
  if (!root) return;
  const PERCENT = /^\d+ % · /;

  function tell() {
    const bar = document.querySelector("#run-progress progress");
    const isActive = root.querySelector("[data-active]")?.dataset.active === "yes";
    const part = bar && isActive ? `${Math.round((100 * bar.value) / bar.max)} % · ` : "";
    const name = document.title.replace(PERCENT, ""); // it may have been renamed
    if (document.title !== part + name) document.title = part + name;
  }

  document.addEventListener("htmx:oobAfterSwap", tell);
})();
