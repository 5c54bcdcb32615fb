// The machine's load over the whole run, by time or by step: loaded when in view, then fed with live
// samples.
(() => {
  "use strict";

  const { mount, colours, format } = window.trainyard;
  const grid = document.querySelector("[data-system-url]");
  if (!grid) return;

  const GIB = 1024 ** 3;
  const percentRange = () => [0, 100];
  const fromZero = (_, low, high) => [0, (high || 1) * 1.1];
  const MIB = 1024 ** 2;
  const AXIS = "trainyard-hardware-axis";
  const button = document.querySelector("[data-system-axis]");
  const times = [];
  const steps = []; // how many were done at each of the times
  // chart -> name of the line -> values, as long as the times
  const charts = { cpu: {}, memory: {}, gpu_util: {}, gpu_memory: {}, gpu_power: {}, gpu_heat: {}, network: {}, disk: {} };
  // Of each chart its lines: the name, the figure of a sample, and what it is divided by.
  const LINES = {
    cpu: [["machine", "cpu_percent", 1]],
    memory: [["machine", "memory_used", GIB], ["this run", "process_memory", GIB]],
    network: [["sent", "network_sent", MIB], ["received", "network_received", MIB]],
    disk: [["in use", "disk_used", GIB]],
  };
  const OF_GPU = { gpu_util: ["util_percent", 1], gpu_memory: ["memory_used", GIB], gpu_power: ["power_w", 1], gpu_heat: ["temperature_c", 1] };
  const PERCENT = new Set(["cpu", "gpu_util"]);
  let loaded = false;
  let lastStep = 0;
  let byStep = localStorage.getItem(AXIS) === "step";

  const scaled = (values, by) => values.map((value) => (value === null || value === undefined ? null : value / by));

  function takeWhole(whole) {
    times.push(...whole.at);
    steps.push(...whole.step);
    lastStep = whole.step.at(-1) ?? 0;
    for (const [key, lines] of Object.entries(LINES)) {
      for (const [line, figure, by] of lines) charts[key][line] = scaled(whole[figure], by);
    }
    for (const [key, [, by]] of Object.entries(OF_GPU)) {
      for (const [index, values] of Object.entries(whole[key])) charts[key][`GPU ${index}`] = scaled(values, by);
    }
  }

  const moment = (at) => (typeof at === "number" ? at : Date.parse(at) / 1000);

  function takeSample(sample) {
    const at = moment(sample.at);
    if (times.length > 0 && at <= times[times.length - 1]) return;
    times.push(at);
    steps.push(lastStep);
    for (const [key, lines] of Object.entries(LINES)) {
      for (const [line, figure, by] of lines) add(key, line, sample[figure], by);
    }
    for (const gpu of sample.gpus ?? []) {
      for (const [key, [figure, by]] of Object.entries(OF_GPU)) add(key, `GPU ${gpu.index}`, gpu[figure], by);
    }
    for (const lines of Object.values(charts)) Object.values(lines).forEach((values) => fill(values));
  }

  function add(chart, line, value, by) {
    const values = (charts[chart][line] ??= []);
    fill(values, times.length - 1);
    values[times.length - 1] = scaled([value], by)[0];
  }

  // Lines that had no value yet are as long as the times.
  function fill(values, length = times.length) {
    while (values.length < length) values.push(null);
  }

  function drawAll(fresh) {
    for (const [key, lines] of Object.entries(charts)) {
      const card = grid.querySelector(`[data-system-chart="${key}"]`);
      card.hidden = !Object.values(lines).some((values) => values.some((value) => value !== null));
      if (!card.hidden) drawOne(card, key, lines, fresh);
    }
  }

  function drawOne(card, key, lines, fresh) {
    const plot = card.querySelector("[data-chart-plot]");
    const names = Object.keys(lines);
    const data = [(byStep ? steps : times).slice(), ...names.map((name) => lines[name].slice())];
    if (!fresh && plot.plot && plot.plot.series.length === data.length) {
      read(card, names, data, null);
      return plot.plot.setData(data);
    }
    legend(card, names);
    read(card, names, data, null);
    return mount(plot, data, {
      lines: names.map((_, at) => ({ stroke: () => colours().lines[at % 6], width: 1.25, points: { show: false } })),
      time: !byStep,
      range: PERCENT.has(key) ? percentRange : fromZero,
      sync: "system",
      read: (index) => read(card, names, plot.plot?.data ?? data, index),
    });
  }

  function legend(card, names) {
    const list = card.querySelector("[data-legend]");
    list.replaceChildren(...names.map((name, at) => {
      const item = document.createElement("li");
      item.className = `line-${(at % 6) + 1}`;
      item.append(`${name} `, document.createElement("strong"));
      return item;
    }));
  }

  function read(card, names, data, index) {
    const at = index ?? data[0].length - 1;
    const items = card.querySelectorAll("[data-legend] strong");
    items.forEach((item, line) => {
      const value = data[line + 1]?.[at];
      item.textContent = typeof value === "number" ? format.number(value) : "–";
    });
    card.querySelector("[data-chart-read]").textContent =
      index === null || at < 0 ? "" : byStep ? `step ${Math.ceil(data[0][at])}` : format.clock(data[0][at]);
  }

  async function load() {
    try {
      const answer = await fetch(grid.dataset.systemUrl, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      takeWhole(await answer.json());
    } catch {
      return;
    }
    loaded = true;
    grid.hidden = times.length === 0;
    drawAll(true);
  }

  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    load();
  }, { rootMargin: "200px" }).observe(document.getElementById("system"));

  document.querySelector("[data-live]").addEventListener("live:system", ({ detail }) => {
    if (!loaded) return;
    detail.samples.forEach(takeSample);
    grid.hidden = times.length === 0;
    drawAll(false);
  });
  document.querySelector("[data-live]").addEventListener("live:points", ({ detail }) => {
    for (const points of Object.values(detail.series)) lastStep = Math.max(lastStep, points.at(-1)?.[0] ?? 0);
  });
  button.addEventListener("click", () => {
    byStep = !byStep;
    localStorage.setItem(AXIS, byStep ? "step" : "time");
    sayAxis();
    if (loaded) drawAll(true);
  });
  function sayAxis() {
    button.setAttribute("aria-pressed", String(byStep));
  }
  sayAxis();
  document.addEventListener("themechange", () => loaded && drawAll(true));
})();
