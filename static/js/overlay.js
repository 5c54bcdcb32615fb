// One chart of many runs: their lines in the runs' own colours, or the means of groups with bands.
(() => {
  "use strict";

  const { mount, format } = window.trainyard;
  const DASHES = [undefined, [7, 4], [2, 3]];
  const MANY = 12; // lines; more are drawn thin, which costs a browser half, and without dots at the crosshair
  const part = (card, name) => card.querySelector(`[data-overlay-${name}]`);

  function withAlpha(colour, alpha) {
    return `color-mix(in oklch, ${colour} ${100 * alpha}%, transparent)`;
  }

  const line = (run, show, width) => ({
    stroke: () => run.colour(), width, dash: DASHES[run.dash], spanGaps: true, show, points: { show: false },
  });

  // A group is three columns: its mean, and the bounds of the band, which have no line of their own.
  function ofGroups(groups, runs) {
    const data = groups.flatMap(({ mean, low, high }) => [mean, high, low]);
    const lines = groups.flatMap((_, at) => {
      const bound = { stroke: "transparent", width: 0, spanGaps: true, points: { show: false } };
      return [line(runs.group(at), true, 2), bound, bound];
    });
    const bands = groups.map((_, at) => ({
      series: [3 * at + 2, 3 * at + 3], fill: () => withAlpha(runs.group(at).colour(), 0.18),
    }));
    return { data, lines, bands };
  }

  function ofRuns(found, runs) {
    const known = found.map(({ job }) => runs.of(job));
    const width = known.length > MANY ? 1 : 1.25;
    return { data: found.map(({ y }) => y), lines: known.map((run) => line(run, run.shown(), width)), bands: [] };
  }

  function draw(card, answer, runs, hear) {
    const element = part(card, "plot");
    const { data, lines, bands } = answer.groups ? ofGroups(answer.groups, runs) : ofRuns(answer.lines, runs);
    const shape = JSON.stringify([(answer.lines ?? []).map(({ job }) => job), (answer.groups ?? []).length, runs.theme]);
    const values = [answer.x, ...data];
    if (element.plot && element.shape === shape) element.plot.setData(values, !hear.isZoomed(card));
    else mount(element, values, { lines, bands, dots: (answer.groups ?? answer.lines).length <= MANY, sync: "compare", read: hear.read, zoom: hear.zoom });
    element.shape = shape;
    say(card, answer);
  }

  // A run may lack the metric, or a place on the axis: that is said and not hidden.
  function say(card, answer) {
    const bad = Object.values(answer.bad).reduce((sum, count) => sum + count, 0);
    const reasons = new Map();
    for (const why of Object.values(answer.why_not)) reasons.set(why, (reasons.get(why) ?? 0) + 1);
    part(card, "said").textContent = [
      answer.without.length ? `${answer.without.length} without this metric.` : "",
      ...[...reasons].map(([why, count]) => `${count} left out: ${why}`),
      bad ? `▲ ${bad} values are not finite.` : "",
      answer.thinned ? "Thinned: drag over a part to see all of it." : "",
    ].filter(Boolean).join(" ");
  }

  // The value of each line at the crosshair, or the last one before it.
  function valuesAt(card, answer, index) {
    return (answer.lines ?? []).map(({ job, y }) => {
      for (let at = index; at >= 0; at -= 1) if (y[at] !== null) return [job, y[at]];
      return [job, null];
    });
  }

  function sayPlace(card, text) {
    part(card, "read").textContent = text;
  }

  window.trainyard.overlay = { draw, valuesAt, sayPlace, part, number: format.number };
})();
