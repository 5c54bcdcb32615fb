// A click on a point of a chart offers the answers of its step, in the foot of the chart's card.
(() => {
  "use strict";

  const STILL = 4; // pixels; a drag zooms
  const url = document.currentScript.dataset.answersUrl;
  let pressed = { x: 0, y: 0 };

  function offer(card, step) {
    const link = card.querySelector("[data-answers-link]") ?? document.createElement("a");
    link.dataset.answersLink = "";
    link.href = `${url}?step=${step}`;
    link.textContent = `Answers of step ${step}`;
    card.querySelector(".chart-foot")?.append(link);
  }

  document.addEventListener("mousedown", (event) => {
    pressed = { x: event.clientX, y: event.clientY };
  });

  document.addEventListener("click", (event) => {
    if (Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > STILL) return;
    const card = event.target.closest("#charts [data-chart-plot]")?.closest("article");
    const read = card?.querySelector("[data-chart-read]")?.textContent ?? "";
    const step = /^\s*step (\d+)/.exec(read)?.[1];
    if (step !== undefined) offer(card, step);
  });
})();
