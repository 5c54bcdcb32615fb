// The charts of a run: loads the points of what is in view, as many as there are pixels for, and
// takes live points in. More of a stretch is loaded when somebody zooms into it.
(() => {
  "use strict";

  const { Series, axis, card: shown, view } = window.trainyard;
  const BATCH = 20;
  const WAIT = 50;
  const WIDER = 1.5; // times the pixels that the points were chosen for
  const DENSE = 4; // times the pixels: all points of a stretch that is not much longer
  const section = document.querySelector("[data-charts]");
  if (!section) return;

  const root = document.querySelector("[data-live]");
  const groups = section.querySelector("[data-chart-groups]");
  const isWide = section.dataset.wide === "yes";
  const twins = JSON.parse(section.dataset.twins);
  const metrics = new Map();
  const visible = new Set();
  const wanted = new Set();
  let { ahead } = window.trainyard; // what ahead.js asked for, until it is used or of no use
  let turn = 0; // answers to what was asked before another axis was chosen are of no use

  function metric(name) {
    if (!metrics.has(name)) metrics.set(name, { series: new Series(), loaded: false, thinned: false, width: 0, part: "", cards: new Set() });
    return metrics.get(name);
  }

  const entriesOf = (card) => shown.namesOf(card).map(metric);
  const seriesOf = (card) => entriesOf(card).map(({ series }) => series);

  // Cards that come into view together are asked for together.
  function want(card) {
    if (wanted.size === 0) setTimeout(load);
    shown.namesOf(card).filter((name) => !metric(name).loaded).forEach((name) => wanted.add(name));
  }

  async function load() {
    const names = [...wanted];
    wanted.clear();
    const rest = await loadAhead(names);
    for (let at = 0; at < rest.length; at += BATCH) await loadSome(rest.slice(at, at + BATCH));
    if (view.range) zoom();
  }

  // Take what was asked for ahead, where it fits: the names that are still to be asked for.
  async function loadAhead(names) {
    const [first, asked] = [ahead, turn];
    ahead = null;
    if (!first || !(widthOf(names).width <= WIDER * first.width)) return names;
    const found = await first.answer;
    if (!found) return names;
    if (asked !== turn) return [];
    first.names.forEach((name) => take(name, found, first.width));
    refreshAll([...first.names]);
    return names.filter((name) => !first.names.has(name));
  }

  // Smoothing needs every point: an average over the peaks of each pixel would be another curve. On
  // the axis of another metric the peaks of a stretch of steps mean nothing.
  function widthOf(names) {
    if (view.smoothing > 0 || !axis.ascends) return {};
    return { width: pixels(names) };
  }

  function pixels(names) {
    return Math.max(100, ...names.flatMap((name) => [...metric(name).cards]).map((card) => card.clientWidth));
  }

  async function ask(names, more) {
    const query = new URLSearchParams([...names.map((name) => ["name", name]), ...Object.entries({ ...axis.asked, ...more })]);
    const answer = await fetch(`${section.dataset.pointsUrl}?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  async function loadSome(names) {
    const asked = turn;
    const more = widthOf(names);
    let found;
    try {
      found = await ask(names, more);
    } catch {
      names.forEach((name) => metric(name).cards.forEach(shown.sayFailed));
      return;
    }
    if (asked !== turn) return;
    axis.take(found.x);
    names.forEach((name) => take(name, found, more.width));
    refreshAll(names);
  }

  function take(name, { series, thinned, better }, width) {
    const entry = metric(name);
    const chosen = thinned[name];
    // What came live while the points were on their way is newer than they are.
    entry.series.lookAtWhole();
    const live = [...entry.series.points];
    entry.series.addStretch(series[name] ?? [], chosen?.middles);
    entry.series.add(live.filter(([step]) => !chosen || step > (series[name].at(-1)?.[0] ?? -1)));
    entry.series.badOfAll = chosen ? chosen.bad : null;
    Object.assign(entry, { thinned: Boolean(chosen), width, loaded: true, part: "" });
    entry.cards.forEach((card) => { card.dataset.better ??= better[name] ?? ""; });
  }

  function refreshAll(names) {
    new Set(names.flatMap((name) => [...metric(name).cards])).forEach(refresh);
  }

  // The points of the stretch that all charts show, of those in view that have not all of them.
  async function zoom() {
    if (!view.range || !axis.ascends) return;
    const [low, high] = axis.stepsBetween(...view.range);
    const stretch = `${low} ${high}`;
    const names = [...new Set([...visible].flatMap(shown.namesOf))].filter((name) => {
      const entry = metric(name);
      const steps = entry.series.sorted();
      return entry.loaded && entry.thinned && entry.part !== stretch && (low > steps[0] || high < steps[steps.length - 1]);
    });
    names.forEach((name) => { metric(name).part = stretch; });
    const parts = [];
    for (let at = 0; at < names.length; at += BATCH) parts.push(zoomSome(names.slice(at, at + BATCH), low, high));
    await Promise.all(parts);
  }

  async function zoomSome(names, low, high) {
    const asked = turn;
    try {
      const found = await ask(names, { low, high, width: DENSE * pixels(names) });
      if (asked !== turn) return;
      axis.take(found.x);
      names.forEach((name) => metric(name).series.lookInto(found.series[name] ?? [], found.thinned[name]?.middles));
      refreshAll(names);
    } catch {
      names.forEach((name) => { metric(name).part = ""; }); // what was there stays; the next zoom asks again
    }
  }

  function refresh(card) {
    const list = seriesOf(card);
    shown.sayLast(card, list);
    if (visible.has(card) && entriesOf(card).every(({ loaded }) => loaded)) shown.drawCard(card, list);
  }

  // A chart on the full screen has more pixels than what was loaded for a card.
  function enter(card) {
    visible.add(card);
    for (const entry of entriesOf(card)) {
      if (entry.thinned && card.clientWidth > WIDER * entry.width) entry.loaded = false;
    }
    if (entriesOf(card).every(({ loaded }) => loaded)) refresh(card);
    else want(card);
  }

  // Of very many series only those in view are sent; the others are loaded when they come back.
  function leave(card) {
    visible.delete(card);
    if (isWide) entriesOf(card).forEach((entry) => { entry.loaded = false; });
  }

  let telling = 0;

  function tellWanted() {
    if (!isWide) return;
    clearTimeout(telling);
    telling = setTimeout(() => {
      const names = [...new Set([...visible].flatMap(shown.namesOf))];
      root.dispatchEvent(new CustomEvent("live:want", { detail: names }));
    }, WAIT);
  }

  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) (isIntersecting ? enter : leave)(target);
    if (view.range) zoom();
    tellWanted();
  }, { rootMargin: "200px" });

  function adopt(card) {
    entriesOf(card).forEach((entry) => entry.cards.add(card));
    observer.observe(card);
  }

  function drop(card) {
    observer.unobserve(card);
    visible.delete(card);
    entriesOf(card).forEach((entry) => entry.cards.delete(card));
    window.trainyard.unmount(shown.part(card, "plot"));
  }

  // A metric that is so far the same as its twin gets no place of its own among the first.
  function isTwin(name) {
    const [mine, other] = [name, twins[name]].map((each) => metrics.get(each)?.series.points);
    return Boolean(mine && other && mine.size === other.size && [...mine].every(([step, value]) => Object.is(other.get(step), value)));
  }

  function news({ detail }) {
    // A run that logs very many figures needs another page; one that went back, other points.
    if (detail.wide && !isWide) window.location.reload();
    if (detail.anew) forget();
    axis.takeNews(detail);
    const series = Object.entries(detail.series);
    for (const [name, points] of series) metric(name).series.addNew(points);
    for (const [name] of series) {
      if (metric(name).cards.size === 0) groups.dispatchEvent(new CustomEvent("charts:new", { detail: { name, isTwin: isTwin(name) } }));
    }
    refreshAll(series.map(([name]) => name));
  }

  function forget() {
    turn += 1;
    ahead = null;
    axis.reset();
    for (const entry of metrics.values()) {
      entry.series.clear();
      Object.assign(entry, { loaded: false, thinned: false, part: "" });
    }
    visible.forEach(enter);
  }

  // Smoothing needs all points of what was thinned.
  function needsMore(card) {
    const thin = entriesOf(card).filter(({ thinned }) => thinned);
    if (view.smoothing === 0 || thin.length === 0) return false;
    thin.forEach((entry) => { entry.loaded = false; });
    want(card);
    return true;
  }

  // Cards out of view are drawn afresh when they come back, because their view no longer fits.
  function redraw() {
    for (const card of visible) {
      if (!needsMore(card) && entriesOf(card).every(({ loaded }) => loaded)) shown.redrawCard(card, seriesOf(card));
    }
  }

  function move() {
    if (view.range === null) {
      for (const entry of metrics.values()) {
        entry.series.lookAtWhole();
        entry.part = "";
      }
      visible.forEach(refresh);
    }
    for (const card of visible) {
      const { plot } = shown.part(card, "plot");
      if (plot) shown.zoomTo(plot);
    }
    zoom();
  }

  function point() {
    for (const card of visible) {
      shown.sayLast(card, seriesOf(card));
      shown.part(card, "plot").plot?.redraw(false);
    }
  }

  const DRAWS = ["smoothing", "log", "logs", "outliers"];

  function change({ detail }) {
    if (detail.has("x")) forget();
    else if (DRAWS.some((name) => detail.has(name))) redraw();
    else if (detail.has("range")) move();
    else if (detail.has("at") || detail.has("marks")) point();
  }

  section.addEventListener("charts:adopt", (event) => adopt(event.target));
  section.addEventListener("charts:drop", (event) => drop(event.target));
  root.addEventListener("live:points", news);
  document.addEventListener("viewchange", change);
  document.addEventListener("themechange", redraw);
  section.querySelectorAll("[data-series]").forEach(adopt);
})();
