// The x-axis that all charts share: the steps, or where each step lies in time, in tokens or by
// another metric. The places come with the points.
(() => {
  "use strict";

  const { view, format } = window.trainyard;
  const METRIC = "metric:";
  const MINUTE = 60;
  const HOUR = 3600;
  const DAY = 86400;
  const SPANS = [1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 5 * DAY, 10 * DAY, 30 * DAY, 100 * DAY];
  let places = new Map();
  let known = null; // the steps that have a place, in order
  let first = null; // the time of the first step
  let sums = ""; // the metric that is added up to tokens
  let sum = 0;

  const isTime = () => view.x === "time" || view.x === "relative";
  const of = (value) => (view.x === "relative" && first !== null ? value - first : value);

  function reset() {
    places = new Map();
    known = null;
    first = null;
    sums = "";
    sum = 0;
  }

  function put(step, value) {
    places.set(step, value);
    known = null;
  }

  // What an answer says beside its points.
  function take(said) {
    if (!said) return;
    first = said.first ?? first;
    sums = said.sums;
    for (const [step, value] of said.places) {
      put(step, value);
      sum = Math.max(sum, value);
    }
  }

  // Points that just came bring their own places.
  function takeNews({ series, times = [] }) {
    if (isTime()) {
      if (first === null && times.length) [[, first]] = times;
      times.forEach(([step, at]) => put(step, at));
    } else if (view.x === "tokens" && sums && series[sums]) {
      for (const [step, value] of series[sums]) {
        if (places.has(step) || typeof value !== "number") continue;
        sum += value;
        put(step, sum);
      }
    } else if (view.x.startsWith(METRIC)) {
      (series[view.x.slice(METRIC.length)] ?? []).forEach(([step, value]) => typeof value === "number" && put(step, value));
    }
  }

  // The last step at or before one, of those that have a place.
  function stepBefore(step) {
    known ??= [...places.keys()].sort((a, b) => a - b);
    let [low, high] = [0, known.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (known[middle] <= step) low = middle + 1;
      else high = middle;
    }
    return known[low - 1];
  }

  function place(step) {
    if (view.x === "step") return step;
    if (!places.has(step) && !axis.ascends) return undefined;
    return of(places.get(places.has(step) ? step : stepBefore(step)));
  }

  // The steps between two places, a little wider: the server is asked by steps.
  function stepsBetween(low, high) {
    if (view.x === "step") return [Math.max(0, Math.floor(low)), Math.ceil(high)];
    known ??= [...places.keys()].sort((a, b) => a - b);
    const before = known.filter((step) => place(step) <= low);
    const after = known.find((step) => place(step) >= high);
    return [before[before.length - 1] ?? 0, after ?? known[known.length - 1] ?? 0];
  }

  function label(value) {
    if (view.x === "relative") return format.duration(value);
    return view.x === "time" ? format.moment(value) : format.number(value);
  }

  function ticks(values, by) {
    if (view.x === "relative") return values.map((value) => format.duration(value));
    if (view.x === "time") return values.map((value) => format.moment(value, by));
    return values.map((value) => format.tick(value, by));
  }

  const axis = {
    get ascends() { return !view.x.startsWith(METRIC); },
    get asked() {
      if (view.x === "step") return {};
      return { x: isTime() ? "time" : view.x };
    },
    get spans() { return isTime() ? SPANS : undefined; },
    reset, take, takeNews, place, stepsBetween, label, ticks,
  };
  window.trainyard.axis = axis;
})();
