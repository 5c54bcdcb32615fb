// One chart's card: the drawing itself, and in words its last and best value or the one at the
// crosshair. A card has one metric, or several that somebody put together.
(() => {
  "use strict";

  const { mount, colours, format, view, axis, marks, rangeOf, changeView, isLog } = window.trainyard;
  const BETWEEN = "\n";
  const SHARE = 0.02; // of the values at either end that are ignored as outliers
  const APART = 8; // times as large
  const COLUMNS = 4; // of each metric: lowest, highest, raw, line
  const part = (card, name) => card.querySelector(`[data-chart-${name}]`);
  const namesOf = (card) => card.dataset.series.split(BETWEEN);
  const logOf = (card) => isLog(card.dataset.series);
  const drawnAs = (card) => `${view.smoothing > 0} ${logOf(card)} ${view.x} ${view.outliers}`;

  function withAlpha(rgb, alpha) {
    return rgb.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
  }

  // Whether two metrics are of so different a size that one axis would flatten one of them.
  function areApart(parts) {
    if (parts.length !== 2) return false;
    const [one, other] = parts.map(({ raw }) => {
      const known = raw.filter((value) => value !== null);
      return known.length ? quantile(known.map(Math.abs).sort((a, b) => a - b), view.outliers ? 1 - SHARE : 1) : NaN;
    });
    return Math.max(one, other) > APART * Math.min(one, other);
  }

  function lines(count, second) {
    const isOver = axis.ascends;
    return Array.from({ length: count }, (_, at) => {
      const colour = () => colours().lines[at % 6];
      const scale = second && at === 1 ? "second" : "y";
      const edge = { scale, stroke: () => "transparent", width: 0, points: { show: false } };
      return [
        edge,
        edge,
        { scale, stroke: () => withAlpha(colour(), 0.3), width: 1, show: view.smoothing > 0, points: { show: false } },
        { scale, stroke: colour, width: isOver ? (view.smoothing > 0 ? 1.5 : 1) : 0, points: isOver ? { size: 4 } : { show: true, size: 3 } },
      ];
    }).flat();
  }

  const bands = (count) => Array.from({ length: count }, (_, at) => ({
    series: [COLUMNS * at + 2, COLUMNS * at + 1],
    fill: () => withAlpha(colours().lines[at % 6], 0.22),
  }));

  // The columns of several metrics side by side on all the places that any of them has.
  function together(parts) {
    if (parts.length === 1) {
      const [{ xs, low, high, raw, line }] = parts;
      return [xs, low, high, raw, line];
    }
    return uPlot.join(parts.map(({ xs, low, high, raw, line }) => {
      const known = xs.map((_, at) => at).filter((at) => at === 0 || xs[at] !== xs[at - 1]);
      return [xs, low, high, raw, line].map((column) => known.map((at) => column[at]));
    }));
  }

  function quantile(sorted, share) {
    return sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(share * (sorted.length - 1))))];
  }

  // Where outliers are ignored, the axis is that of the bulk of what is in view.
  function range(card) {
    return (plot, low, high, key) => {
      const log = logOf(card);
      if (!view.outliers) return rangeOf(low, high, log);
      const min = plot.scales.x.min ?? -Infinity;
      const max = plot.scales.x.max ?? Infinity;
      const shown = [];
      for (let column = COLUMNS; column < plot.data.length; column += COLUMNS) {
        if (plot.series[column].scale !== key) continue;
        plot.data[column].forEach((value, at) => {
          if (typeof value === "number" && plot.data[0][at] >= min && plot.data[0][at] <= max) shown.push(value);
        });
      }
      shown.sort((a, b) => a - b);
      if (shown.length < 20) return rangeOf(low, high, log);
      return rangeOf(quantile(shown, SHARE), quantile(shown, 1 - SHARE), log);
    };
  }

  // A line where somebody stopped the crosshair, and what happened at which step.
  function over(plot) {
    marks.draw(plot);
    if (view.at === null) return;
    const x = plot.valToPos(axis.place(view.at), "x", true);
    const { ctx, bbox } = plot;
    if (!(x >= bbox.left && x <= bbox.left + bbox.width)) return;
    ctx.save();
    ctx.strokeStyle = colours().text;
    ctx.lineWidth = devicePixelRatio;
    ctx.strokeRect(x, bbox.top, 0, bbox.height);
    ctx.restore();
  }

  function drawCard(card, list) {
    const element = part(card, "plot");
    const log = logOf(card);
    const parts = list.map((series) => series.placed(axis, view.smoothing, log));
    const data = together(parts);
    element.steps = new Map(parts.flatMap(({ steps, xs }) => xs.map((x, at) => [x, steps[at]])));
    sayEmpty(element, parts, log);
    const second = areApart(parts);
    const how = `${drawnAs(card)} ${second}`;
    if (element.plot && element.drawnAs === how) {
      element.plot.setData(data, false);
      return zoomTo(element.plot);
    }
    element.drawnAs = how;
    mount(element, data, {
      lines: lines(list.length, second),
      second: second ? () => colours().lines[1] : null,
      bands: bands(list.length),
      log,
      range: range(card),
      x: { values: axis.ticks, spans: axis.spans },
      sync: "run",
      bad: () => list.flatMap((series) => series.bad().map((step) => [axis.place(step), series.points.get(step)])),
      over,
      read: (index, plot) => read(card, list, index, plot),
      select: (low, high) => changeView({ range: view.x === "step" ? [Math.floor(low), Math.ceil(high)] : [low, high] }),
      reset: () => changeView({ range: null }),
    });
    return zoomTo(element.plot);
  }

  // The stretch that all charts show, or all that this one has.
  function zoomTo(plot) {
    const places = plot.data[0];
    if (places.length === 0) return;
    const [low, high] = view.range ?? [places[0], places[places.length - 1]];
    if (high > low) plot.setScale("x", { min: low, max: high });
    else plot.setScale("x", { min: low - (Math.abs(low) / 10 || 1), max: low + (Math.abs(low) / 10 || 1) });
  }

  function redrawCard(card, list) {
    delete part(card, "plot").drawnAs;
    drawCard(card, list);
  }

  function sayEmpty(element, parts, log) {
    const isThere = parts.some(({ raw }) => raw.some((value) => value !== null));
    if (isThere) delete element.dataset.empty;
    else if (view.x !== "step" && parts.every(({ xs }) => xs.length === 0)) element.dataset.empty = "Nothing of it lies on this x-axis";
    else element.dataset.empty = log ? "Nothing above zero for a log scale" : "No finite value yet";
  }

  function sayFailed(card) {
    part(card, "plot").dataset.empty = "Could not be loaded. Reload the page to try again.";
  }

  const figure = (value) => (value === undefined ? "–" : format.number(value));

  function sayLast(card, list) {
    if (list.every((series) => series.points.size === 0)) return;
    if (view.at !== null) return sayAt(card, list, view.at);
    const last = Math.max(...list.filter((series) => series.points.size).map((series) => series.last.step));
    say(card, last, list.map((series) => (series.points.size ? series.last.value : undefined)), "");
    sayBest(card, list);
    sayBad(card, list);
  }

  function sayBest(card, [series, ...others]) {
    const place = part(card, "best");
    const best = others.length ? null : series.best(card.dataset.better);
    place.textContent = best ? `best ${format.number(best.value)} at ${best.step}` : "";
  }

  function sayBad(card, list) {
    const count = list.reduce((sum, series) => sum + series.badCount, 0);
    const log = logOf(card);
    const below = log ? list.reduce((sum, series) => sum + [...series.points.values()].filter((value) => value <= 0 && Number.isFinite(value)).length, 0) : 0;
    const note = card.querySelector("[data-bad]");
    note.hidden = count + below === 0;
    note.textContent = [count ? `▲ ${count} not finite` : "", below ? `${below} not above zero` : ""].filter(Boolean).join(", ");
  }

  function read(card, list, index, plot) {
    const step = index === null ? undefined : part(card, "plot").steps.get(plot.data[0][index]);
    if (step === undefined) return sayLast(card, list);
    return sayAt(card, list, step, marks.near(plot, plot.cursor.left));
  }

  function sayAt(card, list, step, what = "") {
    const notes = list.length === 1 ? [meanAt(list[0], step)] : [];
    say(card, step, list.map((series) => series.points.get(step)), [...notes, what].filter(Boolean).join(", "));
  }

  // The exact value of a point that was chosen out of many, and beside it what the line shows.
  function meanAt(series, step) {
    const middle = view.smoothing === 0 ? series.spreads.get(step)?.middle : null;
    return typeof middle === "number" ? `mean around it ${format.number(middle)}` : "";
  }

  function say(card, step, values, note) {
    if (values.length === 1) part(card, "value").textContent = figure(values[0]);
    const legend = card.querySelectorAll("[data-chart-legend] strong");
    values.forEach((value, at) => { if (legend[at]) legend[at].textContent = figure(value); });
    const where = view.x === "step" ? "" : ` (${axis.label(axis.place(step))})`;
    part(card, "read").textContent = `step ${step}${where}${note ? `: ${note}` : ""}`;
    part(card, "read").title = note;
    if (note || view.at !== null) part(card, "best").textContent = "";
    sayAnswers(card, step);
  }

  // From a point to what the model answered at its step.
  function sayAnswers(card, step) {
    const link = part(card, "answers");
    const to = card.closest("[data-charts]")?.dataset.answersUrl;
    link.hidden = !to || view.at === null;
    if (link.hidden) return;
    const kind = namesOf(card)[0].startsWith("val") ? "&kind=validation" : "";
    link.href = `${to}?step=${step}${kind}`;
    link.textContent = `Answers of step ${step}`;
  }

  window.trainyard.card = { drawCard, redrawCard, zoomTo, sayLast, sayFailed, namesOf, part, BETWEEN };
})();
