// How a chart is drawn: one uPlot with the page's colours, a shared crosshair and zoom by dragging.
(() => {
  "use strict";

  const HEIGHT = 160;
  const { number, clock } = window.trainyard.format;

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
      bad: colour("--failed"),
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


  // A triangle on the lower edge for every step whose value is not a finite number.
  function drawBad(plot, steps) {
    const { ctx, bbox } = plot;
    const size = 5 * devicePixelRatio;
    const floor = bbox.top + bbox.height;
    ctx.save();
    ctx.fillStyle = colours().bad;
    for (const step of steps) {
      const x = plot.valToPos(step, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x - size, floor);
      ctx.lineTo(x + size, floor);
      ctx.lineTo(x, floor - 1.6 * size);
      ctx.fill();
    }
    ctx.restore();
  }

  function scales(options) {
    return {
      x: { time: Boolean(options.time) },
      y: options.log ? { distr: 3, log: 10 } : options.range ? { range: options.range } : {},
    };
  }

  // options: lines (uPlot series), log, time, range, sync, bands, bad(), read(index or null), zoom(low, high)
  function draw(element, data, options) {
    const plot = new uPlot({
      width: element.clientWidth,
      height: HEIGHT,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      scales: scales(options),
      axes: [
        axis({ size: 24, space: 56, ...(options.time && { values: (_, ticks) => ticks.map((at) => clock(at).slice(0, 5)) }) }),
        axis({ size: 48, space: 32, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : number(tick))) }),
      ],
      cursor: { sync: { key: options.sync }, y: false, points: { size: 5 } },
      series: [{}, ...options.lines],
      bands: options.bands ?? [],
      hooks: {
        draw: [(self) => drawBad(self, options.bad?.() ?? [])],
        setScale: [(self, key) => { if (key === "x") options.zoom?.(self.scales.x.min, self.scales.x.max); }],
        setCursor: [(self) => options.read?.(self.cursor.idx ?? null)],
      },
    }, data, element);
    return plot;
  }

  const sizes = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const width = Math.floor(contentRect.width);
      if (width > 0 && target.plot && target.plot.width !== width) target.plot.setSize({ width, height: HEIGHT });
    }
  });

  function mount(element, data, options) {
    element.plot?.destroy();
    element.plot = draw(element, data, options);
    sizes.observe(element);
    return element.plot;
  }

  Object.assign(window.trainyard, { mount, colours });
})();
