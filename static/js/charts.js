// The charts of a run: loads the points of what is in view, and takes live points in.
(() => {
  "use strict";

  const { Series, card: shown } = window.trainyard;
  const BATCH = 20;
  const section = document.querySelector("[data-charts]");
  if (!section) return;

  const groups = section.querySelector("[data-chart-groups]");
  const metrics = new Map();
  const visible = new Set();
  const wanted = new Set();

  function metric(name) {
    if (!metrics.has(name)) metrics.set(name, { series: new Series(), loaded: false, cards: new Set() });
    return metrics.get(name);
  }

  const metricOf = (card) => metric(card.dataset.series);

  // Cards come into view one by one; their points are asked for together.
  function want(name) {
    if (wanted.size === 0) setTimeout(load, 50);
    wanted.add(name);
  }

  async function load() {
    const names = [...wanted];
    wanted.clear();
    for (let at = 0; at < names.length; at += BATCH) await loadSome(names.slice(at, at + BATCH));
  }

  async function loadSome(names) {
    const query = new URLSearchParams(names.map((name) => ["name", name]));
    let found;
    try {
      const answer = await fetch(`${section.dataset.pointsUrl}?${query}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      found = (await answer.json()).series;
    } catch {
      names.forEach((name) => metric(name).cards.forEach(shown.sayFailed));
      return;
    }
    names.forEach((name) => take(name, found[name] ?? []));
  }

  function take(name, points) {
    const entry = metric(name);
    // What came live while the points were on their way is newer than they are.
    const live = [...entry.series.points];
    entry.series.add(points);
    entry.series.add(live);
    entry.loaded = true;
    entry.cards.forEach(refresh);
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

  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) enter(target);
      else visible.delete(target);
    }
  }, { rootMargin: "200px" });

  function adopt(card) {
    metricOf(card).cards.add(card);
    observer.observe(card);
  }

  function received(name, points) {
    const entry = metric(name);
    entry.series.add(points);
    if (entry.cards.size === 0) groups.dispatchEvent(new CustomEvent("charts:new", { detail: name }));
    entry.cards.forEach(refresh);
  }

  // Cards out of view are drawn afresh when they come back, because their view no longer fits.
  function redraw() {
    for (const card of visible) {
      if (metricOf(card).loaded) shown.redrawCard(card, metricOf(card).series);
    }
  }

  section.addEventListener("charts:adopt", (event) => adopt(event.target));
  document.querySelector("[data-live]").addEventListener("live:points", ({ detail }) => {
    for (const [name, points] of Object.entries(detail.series)) received(name, points);
  });
  document.addEventListener("viewchange", redraw);
  document.addEventListener("themechange", redraw);
  section.querySelectorAll("[data-series]").forEach(adopt);
})();
