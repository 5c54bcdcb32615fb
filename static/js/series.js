// One metric's points: merged by step, placed on an axis, sorted, smoothed. Values that are not
// finite are kept apart. Points that the server chose out of many remember the part they stand for.
(() => {
  "use strict";

  const NAMES = { nan: NaN, inf: Infinity, "-inf": -Infinity };

  const parse = (value) => (typeof value === "number" ? value : NAMES[value] ?? NaN);

  // Exponential moving average, corrected for its start at zero; a gap leaves a gap.
  function smooth(values, weight) {
    let average = 0;
    let total = 0;
    return values.map((value) => {
      if (value === null || value === undefined) return null;
      average = average * weight + (1 - weight) * value;
      total = total * weight + (1 - weight);
      return average / total;
    });
  }

  // The parts that the server cut the steps into, as monitoring/series/thinning.py does.
  function spreadOf(points, middles) {
    const found = new Map();
    const width = middles.length;
    const first = points[0][0];
    const by = width / (points[points.length - 1][0] - first);
    const parts = middles.map((middle) => ({ low: Infinity, high: -Infinity, middle }));
    for (const [step, given] of points) {
      const value = parse(given);
      const part = parts[Math.min(width - 1, Math.floor((step - first) * by))];
      if (Number.isFinite(value)) {
        part.low = Math.min(part.low, value);
        part.high = Math.max(part.high, value);
      }
      found.set(step, part);
    }
    return found;
  }

  class Series {
    constructor() {
      this.clear();
    }

    clear() {
      this.points = new Map();
      this.spreads = new Map();
      this.whole = null;
      this.steps = null;
      this.badOfAll = null;
    }

    add(points) {
      for (const [step, value] of points) {
        this.points.set(step, parse(value));
        this.spreads.delete(step);
      }
      this.steps = null;
    }

    // The points of a stretch as the server has them now: all, or chosen with the means beside them.
    addStretch(points, middles) {
      if (points.length === 0) return;
      const [low, high] = [points[0][0], points[points.length - 1][0]];
      for (const step of this.spreads.keys()) if (step >= low && step <= high) this.spreads.delete(step);
      this.add(points);
      if (middles?.length) for (const [step, part] of spreadOf(points, middles)) this.spreads.set(step, part);
    }

    // All points of a stretch that somebody looks into. The whole run is shown without them again.
    lookInto(points, middles) {
      this.lookAtWhole();
      this.whole = { points: new Map(this.points), spreads: new Map(this.spreads) };
      this.addStretch(points, middles);
    }

    lookAtWhole() {
      if (this.whole === null) return;
      Object.assign(this, this.whole, { whole: null, steps: null });
    }

    // Points that just came; of a thinned series the bad ones must be counted along.
    addNew(points) {
      this.add(points);
      if (this.whole) for (const [step, value] of points) this.whole.points.set(step, parse(value));
      if (this.badOfAll !== null) this.badOfAll += points.filter(([, value]) => !Number.isFinite(parse(value))).length;
    }

    sorted() {
      this.steps ??= [...this.points.keys()].sort((a, b) => a - b);
      return this.steps;
    }

    get last() {
      const steps = this.sorted();
      const step = steps[steps.length - 1];
      return { step, value: this.points.get(step) };
    }

    // The first step with the best value; thinning keeps the extremes of each part.
    best(side) {
      let found = null;
      if (side) {
        for (const step of this.sorted()) {
          const value = this.points.get(step);
          if (Number.isFinite(value) && (found === null || (side === "higher" ? value > found.value : value < found.value))) found = { step, value };
        }
      }
      return found;
    }

    get badCount() {
      return this.badOfAll ?? this.bad().length;
    }

    bad() {
      return this.sorted().filter((step) => !Number.isFinite(this.points.get(step)));
    }

    // uPlot's columns: steps, raw values, smoothed values. A log axis cannot show zero or below.
    columns(weight, log) {
      const steps = this.sorted();
      const raw = steps.map((step) => shownValue(this.points.get(step), log));
      return [steps, raw, weight > 0 ? smooth(raw, weight) : raw];
    }

    // The same on any axis, with the spread of thinned points: steps and their places, then the
    // lowest, highest and raw values, and the line. Steps without a place are left out.
    placed(axis, weight, log) {
      const found = this.sorted().map((step) => [step, axis.place(step)]).filter(([, x]) => Number.isFinite(x));
      if (!axis.ascends) found.sort((a, b) => a[1] - b[1]);
      const steps = found.map(([step]) => step);
      const raw = steps.map((step) => shownValue(this.points.get(step), log));
      const spread = (side) => steps.map((step) => shownValue(this.spreads.get(step)?.[side] ?? NaN, log));
      const middle = () => steps.map((step, at) => {
        const part = this.spreads.get(step);
        return part && raw[at] !== null ? shownValue(part.middle ?? raw[at], log) ?? raw[at] : raw[at];
      });
      const isThin = this.spreads.size > 0 && weight === 0;
      const none = isThin ? null : steps.map(() => null);
      return {
        steps,
        xs: found.map(([, x]) => x),
        low: none ?? spread("low"),
        high: none ?? spread("high"),
        raw,
        line: weight > 0 ? smooth(raw, weight) : isThin ? middle() : raw,
      };
    }
  }

  function shownValue(value, log) {
    return Number.isFinite(value) && (!log || value > 0) ? value : null;
  }

  Object.assign(window.trainyard, { Series, smooth, parsePoint: parse });
})();
