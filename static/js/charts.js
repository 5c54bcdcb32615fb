// The charts of a run: loads the points of what is in view, as many as there are pixels for, and
// takes live points in. More of a part is loaded when somebody zooms into it.
(() => {
  "use strict";

  const { Series, card: shown, view } = window.trainyard;
  const BATCH = 20;
  const WAIT = 50;
  const section = document.querySelector("[data-charts]");
  if (!section) return;

  const root = document.querySelector("[data-live]");
  const groups = section.querySelector("[data-chart-groups]");
  const isWide = section.dataset.wide === "yes";
  const metrics = new Map();
  const visible = new Set();
  const wanted = new Set();

  function metric(name) {
    if (!metrics.has(name)) metrics.set(name, { series: new Series(), loaded: false, thinned: false, part: "", cards: new Set() });
    return metrics.get(name);
  }

  const metricOf = (card) => metric(card.dataset.series);

  // Cards come into view one by one; their points are asked for together.
  function want(name) {
    if (wanted.size === 0) setTimeout(load, WAIT);
    wanted.add(name);
  }

  async function load() {
    const names = [...wanted];
    wanted.clear();
    for (let at = 0; at < names.length; at += BATCH) await loadSome(names.slice(at, at + BATCH));
  }

  // Smoothing needs every point: an average over the peaks of each pixel would be another curve.
  function widthOf(names) {
    if (view.smoothing > 0) return {};
    const cards = names.flatMap((name) => [...metric(name).cards]);
    return { width: Math.max(100, ...cards.map((card) => card.clientWidth)) };
  }

  async function ask(names, more) {
    const query = new URLSearchParams([...names.map((name) => ["name", name]), ...Object.entries(more)]);
    const answer = await fetch(`${section.dataset.pointsUrl}?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  async function loadSome(names) {
    let found;
    try {
      found = await ask(names, widthOf(names));
    } catch {
      names.forEach((name) => metric(name).cards.forEach(shown.sayFailed));
      return;
    }
    names.forEach((name) => take(name, found.series[name] ?? [], found.thinned[name]));
  }

  function take(name, points, thinned) {
    const entry = metric(name);
    // What came live while the points were on their way is newer than they are.
    const live = [...entry.series.points];
    entry.series.add(points);
    entry.series.add(live);
    entry.series.badOfAll = thinned ? thinned.bad : null;
    entry.thinned = Boolean(thinned);
    entry.loaded = true;
    entry.cards.forEach(refresh);
  }

  // The points between two steps, unless all are here or these were asked for the last time.
  async function zoom({ target, detail }) {
    const entry = metricOf(target);
    const low = Math.max(0, Math.floor(detail.low));
    const high = Math.ceil(detail.high);
    const steps = entry.series.sorted();
    const part = `${low} ${high}`;
    const isWhole = low <= steps[0] && high >= steps[steps.length - 1];
    if (!entry.thinned || isWhole || entry.part === part || !(high > low)) return;
    entry.part = part;
    const name = target.dataset.series;
    try {
      const found = await ask([name], { low, high, width: Math.max(100, target.clientWidth) });
      entry.series.add(found.series[name] ?? []);
      entry.cards.forEach(refresh);
    } catch {
      entry.part = ""; // what was there stays; the next zoom asks again
    }
  }

  function refresh(card) {
    const { series, loaded } = metricOf(card);
    shown.sayLast(card, series);
    if (loaded && visible.has(card)) shown.drawCard(card, series);
  }

  function enter(card) {
    visible.add(card);
    if (metricOf(card).loaded) refresh(card);
    else want(card.dataset.series);
  }

  // Of very many series only those in view are sent; the others are loaded when they come back.
  function leave(card) {
    visible.delete(card);
    if (isWide) metricOf(card).loaded = false;
  }

  let telling = 0;

  function tellWanted() {
    if (!isWide) return;
    clearTimeout(telling);
    telling = setTimeout(() => {
      const names = [...new Set([...visible].map((card) => card.dataset.series))];
      root.dispatchEvent(new CustomEvent("live:want", { detail: names }));
    }, WAIT);
  }

  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) (isIntersecting ? enter : leave)(target);
    tellWanted();
  }, { rootMargin: "200px" });

  function adopt(card) {
    metricOf(card).cards.add(card);
    observer.observe(card);
  }

  function received(name, points) {
    const entry = metric(name);
    entry.series.addNew(points);
    if (entry.cards.size === 0) groups.dispatchEvent(new CustomEvent("charts:new", { detail: name }));
    entry.cards.forEach(refresh);
  }

  function news({ detail }) {
    // A run that logs very many figures needs another page; one that went back, other points.
    if (detail.wide && !isWide) window.location.reload();
    if (detail.anew) forget();
    for (const [name, points] of Object.entries(detail.series)) received(name, points);
  }

  function forget() {
    for (const entry of metrics.values()) {
      entry.series.clear();
      Object.assign(entry, { loaded: false, thinned: false, part: "" });
    }
    visible.forEach(enter);
  }

  // Cards out of view are drawn afresh when they come back, because their view no longer fits.
  function redraw() {
    for (const card of visible) {
      const entry = metricOf(card);
      if (entry.thinned && view.smoothing > 0) want(card.dataset.series);
      else if (entry.loaded) shown.redrawCard(card, entry.series);
    }
  }

  section.addEventListener("charts:adopt", (event) => adopt(event.target));
  section.addEventListener("charts:zoom", zoom);
  root.addEventListener("live:points", news);
  document.addEventListener("viewchange", redraw);
  document.addEventListener("themechange", redraw);
  section.querySelectorAll("[data-series]").forEach(adopt);
})();
