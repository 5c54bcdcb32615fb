// A slider beside a number. The number is the field; without JavaScript it is there alone.
(() => {
  "use strict";

  function scaled(input) {
    const { slider, low, high, step } = input.dataset;
    const doubles = slider === "double";
    return {
      low: doubles ? Math.log2(low) : Number(low),
      high: doubles ? Math.log2(high) : Number(high),
      step: doubles ? 1 : Number(step),
      value: (at) => (doubles ? 2 ** at : Number(Number(at).toFixed(4))),
      place: (value) => (doubles ? Math.log2(value) : Number(value)),
    };
  }

  function add(input) {
    if (input.dataset.slid) return;
    input.dataset.slid = "1";
    const scale = scaled(input);
    const range = document.createElement("input");
    Object.assign(range, { type: "range", min: scale.low, max: scale.high, step: scale.step });
    range.setAttribute("aria-label", `Slider: ${input.labels[0]?.textContent ?? input.name}`);
    const follow = () => {
      const place = scale.place(input.value);
      range.value = Number.isFinite(place) ? place : scale.low;
    };
    range.addEventListener("input", (event) => {
      event.stopPropagation();
      input.value = scale.value(range.value);
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
    input.addEventListener("input", follow);
    follow();
    input.after(range);
  }

  const all = (root) => root.querySelectorAll("[data-slider]").forEach(add);
  document.addEventListener("DOMContentLoaded", () => all(document));
  document.addEventListener("htmx:load", (event) => all(event.target));
})();
