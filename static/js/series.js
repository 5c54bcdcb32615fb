// One metric's points: merged by step, sorted, smoothed. Values that are not finite are kept apart.
(() => {
  "use strict";

  const NAMES = { nan: NaN, inf: Infinity, "-inf": -Infinity };

  const parse = (value) => (typeof value === "number" ? value : NAMES[value] ?? NaN);

  // Exponential moving average, corrected for its start at zero; a gap leaves a gap.
  function smooth(values, weight) {
    let average = 0;
    let total = 0;
    return values.map((value) => {
      if (value === null) return null;
      average = average * weight + (1 - weight) * value;
      total = total * weight + (1 - weight);
      return average / total;
    });
  }

  class Series {
    constructor() {
      this.clear();
    }

    clear() {
      this.points = new Map();
      this.steps = null;
      this.badOfAll = null;
    }

    add(points) {
      for (const [step, value] of points) this.points.set(step, parse(value));
      this.steps = null;
    }

    // Points that just came; of a thinned series the bad ones must be counted along.
    addNew(points) {
      this.add(points);
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

    get badCount() {
      return this.badOfAll ?? this.bad().length;
    }

    bad() {
      return this.sorted().filter((step) => !Number.isFinite(this.points.get(step)));
    }

    // uPlot's columns: steps, raw values, smoothed values. A log axis cannot show zero or below.
    columns(weight, log) {
      const steps = this.sorted();
      const raw = steps.map((step) => {
        const value = this.points.get(step);
        return Number.isFinite(value) && (!log || value > 0) ? value : null;
      });
      return [steps, raw, weight > 0 ? smooth(raw, weight) : raw];
    }
  }

  Object.assign(window.trainyard, { Series, smooth, parsePoint: parse });
})();
