// The tools above the charts: what they are set to is the view, and what is set changes it.
(() => {
  "use strict";

  const { view, changeView } = window.trainyard;
  const section = document.querySelector("[data-charts]");
  if (!section) return;

  const find = (name) => section.querySelector(`[data-${name}]`);
  const slider = find("smoothing");
  const output = find("smoothing-value");
  const x = find("x");
  const xMetric = find("x-metric");
  const xName = xMetric.querySelector("input");
  const range = find("range");
  const [from, to] = range.querySelectorAll("input");
  const METRIC = "metric:";
  const SWITCHES = [["log-y", "log"], ["outliers", "outliers"], ["marks", "marks"]];

  // As many digits as a stretch of a run needs.
  const short = (value) => (typeof value === "number" ? String(Number(value.toPrecision(12))) : value);

  function show() {
    const isMetric = view.x.startsWith(METRIC);
    slider.value = view.smoothing;
    output.textContent = String(view.smoothing);
    for (const [name, of] of SWITCHES) find(name).setAttribute("aria-pressed", String(view[of]));
    x.value = isMetric ? METRIC : view.x;
    xMetric.hidden = !isMetric;
    if (isMetric) xName.value = view.x.slice(METRIC.length);
    [from.value, to.value] = (view.range ?? ["", ""]).map(short);
    find("range-reset").disabled = view.range === null;
    range.classList.toggle("is-set", view.range !== null);
  }

  function chooseX() {
    if (x.value !== METRIC) return changeView({ x: x.value, range: null });
    xMetric.hidden = false;
    xName.focus();
    return undefined;
  }

  function nameX() {
    const name = xName.value.trim();
    if (name) changeView({ x: METRIC + name, range: null });
  }

  function setRange(event) {
    event.preventDefault();
    const [low, high] = [from, to].map(({ value }) => (value === "" ? NaN : Number(value)));
    const isRight = Number.isFinite(low) && Number.isFinite(high) && low < high;
    to.setCustomValidity(isRight ? "" : "Enter two numbers, the lower one first.");
    if (isRight) changeView({ range: [low, high] });
    else to.reportValidity();
  }

  slider.addEventListener("input", () => changeView({ smoothing: Number(slider.value) }));
  for (const [name, of] of SWITCHES) find(name).addEventListener("click", () => changeView({ [of]: !view[of] }));
  x.addEventListener("change", chooseX);
  xName.addEventListener("change", nameX);
  range.querySelector("form").addEventListener("submit", setRange);
  to.addEventListener("input", () => to.setCustomValidity(""));
  find("range-reset").addEventListener("click", () => changeView({ range: null }));
  document.addEventListener("viewchange", show);
  show();
})();
