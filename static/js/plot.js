// How a chart is drawn: one uPlot with the page's colours, a shared crosshair and zoom by dragging.
(() => {
  "use strict";

  const HEIGHT = 160;
  const LARGEST = 8e303; // times the pixels of a screen it is still a number
  // Far more than uPlot's own: a run that diverges writes values as large as a number can be.
  const STEPS = Array.from({ length: 339 }, (_, at) => at - 32).flatMap((power) => (power < 32 ? [1, 2, 2.5, 5] : [1, 2, 5]).map((times) => Number(`${times}e${power}`)));
  const { number, tick, clock } = window.trainyard.format;

  // A custom property may hold light-dark() or another property: let the browser work it out.
  function colour(name) {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  }

  let palette = null;

  function colours() {
    palette ??= {
      lines: [1, 2, 3, 4, 5, 6].map((index) => colour(`--chart-${index}`)),
      grid: colour("--line"),
      text: colour("--muted"),
      surface: colour("--surface"),
      bad: colour("--failed"),
      alert: colour("--lost"),
    };
    return palette;
  }

  document.addEventListener("themechange", () => { palette = null; });

  const axis = (extra) => ({
    stroke: () => colours().text,
    grid: { stroke: () => colours().grid, width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
    gap: 4,
    ...extra,
  });

  // A triangle for every step whose value is not a finite number: at the upper edge what is
  // infinitely large, at the lower one the others. Each is [place, value].
  function drawBad(plot, found) {
    const { ctx, bbox } = plot;
    const size = 5 * devicePixelRatio;
    ctx.save();
    ctx.fillStyle = colours().bad;
    for (const [place, value] of found) {
      const x = plot.valToPos(place, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      const edge = value === Infinity ? bbox.top : bbox.top + bbox.height;
      const inside = value === Infinity ? 1.6 * size : -1.6 * size;
      ctx.beginPath();
      ctx.moveTo(x - size, edge);
      ctx.lineTo(x + size, edge);
      ctx.lineTo(x, edge + inside);
      ctx.fill();
    }
    ctx.restore();
  }

  const within = (value) => Math.max(-LARGEST, Math.min(LARGEST, value));

  // The y-axis of values from low to high. Where all are the same, these lie in the middle.
  function rangeOf(low, high, log) {
    if (low === null || high === null || low === undefined) return log ? [1, 10] : [0, 1];
    if (log) {
      const [least, most] = [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high))];
      return [Math.max(least, Number.MIN_VALUE * 1e20), within(most > least ? most : 10 * least)];
    }
    const half = high / 2 - low / 2;
    const room = half > 0 ? Math.min(LARGEST / 10, half / 5) : Math.abs(low) / 10 || 1;
    return [within(low - room), within(high + room)];
  }

  function scales(options) {
    const range = options.range ?? ((_, low, high) => rangeOf(low, high, options.log));
    const scale = options.log ? { distr: 3, log: 10, range } : { range };
    return { x: { time: Boolean(options.time) }, y: scale, ...(options.second && { second: { ...scale } }) };
  }

  // Few lines on a log axis: whole powers of ten, and others only where there are hardly any.
  function powers(_, __, low, high) {
    const span = Math.log10(high / low);
    const by = Math.max(1, Math.ceil(span / 6));
    const found = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high * 1.0001; power += by) {
      for (const times of span > 2 ? [1] : [1, 2, 5]) found.push(times * 10 ** power);
    }
    return found.filter((value) => value >= low * 0.9999 && value <= high * 1.0001);
  }

  // The y-axis on the left, or that of a second metric on the right.
  function valueAxis(options, more) {
    const values = (_, ticks, __, ___, by) => ticks.map((each) => (each === null ? "" : options.log ? number(each) : tick(each, by)));
    return axis({ size: 52, space: 32, values, ...(options.log && { splits: powers, filter: (_, ticks) => ticks }), ...(!options.log && { incrs: STEPS }), ...more });
  }

  // Dragging zooms this chart, or tells by select(low, high) what shall be zoomed into.
  function selecting(options) {
    if (!options.select) return {};
    return {
      setSelect: [(self) => {
        const { left, width } = self.select;
        self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        if (width > 2) options.select(self.posToVal(left, "x"), self.posToVal(left + width, "x"));
      }],
      ready: [(self) => self.over.addEventListener("dblclick", () => options.reset?.())],
    };
  }

  // options: lines (uPlot series), bands, dots (false: none at the crosshair), log, time, range, second (the colour of a second y-axis),
  // x (spans, values), sync, bad(), over(plot), read(index or null, plot), zoom(low, high), or
  // select(low, high) and reset()
  function draw(element, data, options) {
    const timed = options.time && { values: (_, ticks) => ticks.map((at) => clock(at).slice(0, 5)) };
    const placed = options.x && { values: (_, ticks, __, ___, by) => options.x.values(ticks, by), ...(options.x.spans && { incrs: options.x.spans }) };
    return new uPlot({
      width: element.clientWidth,
      height: element.clientHeight || HEIGHT,
      padding: [8, 14, 0, 0],
      legend: { show: false },
      scales: scales(options),
      axes: [
        axis({ size: 24, space: 64, ...timed, ...placed }),
        valueAxis(options, {}),
        ...(options.second ? [valueAxis(options, { scale: "second", side: 1, stroke: options.second, grid: { show: false } })] : []),
      ],
      cursor: {
        sync: { key: options.sync },
        y: false,
        points: options.dots === false ? { show: false } : { size: 5 },
        drag: { x: true, y: false, setScale: !options.select },
        ...(options.select && { bind: { dblclick: () => null } }),
      },
      series: [{}, ...options.lines],
      bands: options.bands ?? [],
      hooks: {
        ...selecting(options),
        draw: [(self) => { options.over?.(self); drawBad(self, options.bad?.() ?? []); }],
        setScale: [(self, key) => { if (key === "x") options.zoom?.(self.scales.x.min, self.scales.x.max); }],
        setCursor: [(self) => options.read?.(self.cursor.idx ?? null, self)],
      },
    }, data, element);
  }

  const sizes = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const [width, height] = [Math.floor(contentRect.width), Math.floor(contentRect.height) || HEIGHT];
      const { plot } = target;
      if (width > 0 && plot && (plot.width !== width || plot.height !== height)) plot.setSize({ width, height });
    }
  });

  function mount(element, data, options) {
    element.plot?.destroy();
    element.plot = draw(element, data, options);
    sizes.observe(element);
    return element.plot;
  }

  function unmount(element) {
    sizes.unobserve(element);
    element.plot?.destroy();
    delete element.plot;
  }

  Object.assign(window.trainyard, { mount, unmount, colours, rangeOf });
})();
