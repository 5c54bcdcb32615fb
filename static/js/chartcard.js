// One chart's card: the drawing itself, and in words its last value or the one at the crosshair.
(() => {
  "use strict";

  const { mount, colours, format, view } = window.trainyard;
  const part = (card, name) => card.querySelector(`[data-chart-${name}]`);
  const viewKey = () => `${view.smoothing} ${view.log}`;

  function withAlpha(rgb, alpha) {
    return rgb.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
  }

  function lines() {
    const faint = () => (view.smoothing > 0 ? withAlpha(colours().lines[0], 0.3) : colours().lines[0]);
    return [
      { stroke: faint, width: 1, spanGaps: false, points: { size: 4 } },
      { stroke: () => colours().lines[0], width: 1.5, show: view.smoothing > 0, points: { show: false } },
    ];
  }

  function drawCard(card, series) {
    const plot = part(card, "plot");
    const data = series.columns(view.smoothing, view.log);
    sayEmpty(plot, data[1]);
    if (plot.plot && plot.drawnAs === viewKey()) return plot.plot.setData(data, !zoomed(plot.plot));
    plot.drawnAs = viewKey();
    return mount(plot, data, {
      lines: lines(),
      log: view.log,
      sync: "run",
      bad: () => series.bad(),
      read: (index) => read(card, series, index),
      zoom: (low, high) => card.dispatchEvent(new CustomEvent("charts:zoom", { bubbles: true, detail: { low, high } })),
    });
  }

  function redrawCard(card, series) {
    delete part(card, "plot").drawnAs;
    drawCard(card, series);
  }

  // New points must not undo a zoom.
  function zoomed(plot) {
    const steps = plot.data[0];
    return steps.length > 1 && (plot.scales.x.min > steps[0] || plot.scales.x.max < steps[steps.length - 1]);
  }

  function sayEmpty(plot, raw) {
    if (raw.some((value) => value !== null)) delete plot.dataset.empty;
    else plot.dataset.empty = view.log ? "Nothing above zero for a log scale" : "No finite value yet";
  }

  function sayFailed(card) {
    part(card, "plot").dataset.empty = "Could not be loaded. Reload the page to try again.";
  }

  function sayLast(card, series) {
    if (series.points.size === 0) return;
    const { step, value } = series.last;
    say(card, step, value);
    const bad = series.badCount;
    const note = card.querySelector("[data-bad]");
    note.hidden = bad === 0;
    note.textContent = `▲ ${bad} not finite`;
  }

  function read(card, series, index) {
    const step = index === null ? undefined : series.sorted()[index];
    if (step === undefined) sayLast(card, series);
    else say(card, step, series.points.get(step));
  }

  function say(card, step, value) {
    part(card, "value").textContent = format.number(value);
    part(card, "read").textContent = `step ${step}`;
  }

  window.trainyard.card = { drawCard, redrawCard, sayLast, sayFailed };
})();
