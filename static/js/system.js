// The machine's load over the whole run: loaded when in view, then fed with live samples.
(() => {
  "use strict";

  const { mount, colours, format } = window.trainyard;
  const grid = document.querySelector("[data-system-url]");
  if (!grid) return;

  const GIB = 1024 ** 3;
  const percentRange = () => [0, 100];
  const fromZero = (_, low, high) => [0, (high || 1) * 1.1];
  const times = [];
  // chart -> name of the line -> values, as long as the times
  const charts = { cpu: {}, memory: {}, gpu_util: {}, gpu_memory: {} };
  let loaded = false;

  const scaled = (values, by) => values.map((value) => (value === null || value === undefined ? null : value / by));

  function takeWhole(whole) {
    times.push(...whole.at);
    charts.cpu.machine = scaled(whole.cpu_percent, 1);
    charts.memory.machine = scaled(whole.memory_used, GIB);
    charts.memory["this run"] = scaled(whole.process_memory, GIB);
    for (const [index, values] of Object.entries(whole.gpu_util)) charts.gpu_util[`GPU ${index}`] = scaled(values, 1);
    for (const [index, values] of Object.entries(whole.gpu_memory)) charts.gpu_memory[`GPU ${index}`] = scaled(values, GIB);
  }

  const moment = (at) => (typeof at === "number" ? at : Date.parse(at) / 1000);

  function takeSample(sample) {
    const at = moment(sample.at);
    if (times.length > 0 && at <= times[times.length - 1]) return;
    times.push(at);
    add("cpu", "machine", sample.cpu_percent, 1);
    add("memory", "machine", sample.memory_used, GIB);
    add("memory", "this run", sample.process_memory, GIB);
    for (const gpu of sample.gpus ?? []) {
      add("gpu_util", `GPU ${gpu.index}`, gpu.util_percent, 1);
      add("gpu_memory", `GPU ${gpu.index}`, gpu.memory_used, GIB);
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
    const data = [times.slice(), ...names.map((name) => lines[name].slice())];
    if (!fresh && plot.plot && plot.plot.series.length === data.length) {
      read(card, names, data, null);
      return plot.plot.setData(data);
    }
    legend(card, names);
    read(card, names, data, null);
    return mount(plot, data, {
      lines: names.map((_, at) => ({ stroke: () => colours().lines[at % 6], width: 1.25, points: { show: false } })),
      time: true,
      range: key === "memory" || key === "gpu_memory" ? fromZero : percentRange,
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
      index === null || at < 0 ? "" : format.clock(data[0][at]);
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
  document.addEventListener("themechange", () => loaded && drawAll(true));
})();
