// How all charts are shown: smoothing and a log scale, remembered from one visit to the next.
(() => {
  "use strict";

  const slider = document.querySelector("[data-smoothing]");
  const output = document.querySelector("[data-smoothing-value]");
  const logButton = document.querySelector("[data-log-y]");
  const view = { smoothing: 0, log: false };
  window.trainyard.view = view;
  if (!slider) return;

  function recall() {
    try {
      Object.assign(view, JSON.parse(localStorage.getItem("charts") ?? "{}"));
    } catch {
      // Storage may be switched off or hold something else; the charts start plain then.
    }
    view.smoothing = Math.min(0.99, Math.max(0, Number(view.smoothing) || 0));
  }

  function keep() {
    try {
      localStorage.setItem("charts", JSON.stringify(view));
    } catch {
      // The setting then lasts for this page.
    }
  }

  function show() {
    slider.value = view.smoothing;
    output.textContent = String(view.smoothing);
    logButton.setAttribute("aria-pressed", String(view.log));
  }

  function change(next) {
    Object.assign(view, next);
    keep();
    show();
    document.dispatchEvent(new CustomEvent("viewchange"));
  }

  slider.addEventListener("input", () => change({ smoothing: Number(slider.value) }));
  logButton.addEventListener("click", () => change({ log: !view.log }));
  recall();
  show();
})();
