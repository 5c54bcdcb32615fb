// Runs over each other: loads the charts in view, hides runs, reads figures at the crosshair, and
// looks for news while a run goes on.
(() => {
  "use strict";

  const { overlay, format } = window.trainyard;
  const EVERY = 5000;
  const WAIT = 150;
  const BATCH = 4; // charts
  const WIDER = 1.5; // times the pixels that the points were chosen for
  const section = document.querySelector("[data-compare]");
  if (!section) return;

  const rows = new Map([...document.querySelectorAll("[data-run]")].map((row) => [Number(row.dataset.run), row]));
  const groups = [...document.querySelectorAll("[data-group]")];
  const cards = [...section.querySelectorAll("[data-overlay]")];
  const answers = new Map();
  const windows = new Map();
  const visible = new Set();
  const wanted = new Set();
  let { ahead } = window.trainyard; // what ahead.js asked for, until it is used or of no use

  const ownColour = (element) => getComputedStyle(element.querySelector(".run-line")).borderTopColor;
  const colours = new Map();

  function colourOf(element) {
    if (!colours.has(element)) colours.set(element, ownColour(element));
    return colours.get(element);
  }

  const runs = {
    theme: 0,
    of: (job) => {
      const row = rows.get(job);
      return { colour: () => colourOf(row), dash: Number(row.dataset.dash), shown: () => row.querySelector("[data-show-run]").checked };
    },
    group: (at) => ({ colour: () => colourOf(groups[at]), dash: 0 }),
  };

  // Charts that come into view together are asked for together; one that is zoomed, by itself.
  function want(card) {
    if (wanted.size === 0) setTimeout(() => { const list = [...wanted]; wanted.clear(); loadAll(list); });
    wanted.add(card);
  }

  async function loadAll(list, isNews = false) {
    const zoomed = list.filter((card) => windows.has(card));
    let whole = list.filter((card) => !windows.has(card));
    if (!isNews) whole = await takeAhead(whole);
    const parts = zoomed.map((card) => [card]);
    for (let at = 0; at < whole.length; at += BATCH) parts.push(whole.slice(at, at + BATCH));
    await Promise.all(parts.map((each) => load(each, isNews)));
  }

  // Take what was asked for ahead, where it fits: the cards that are still to be asked for.
  async function takeAhead(list) {
    const first = ahead;
    ahead = null;
    if (!first || !(widthOf(list) <= WIDER * first.width)) return list;
    const found = await first.answer;
    if (!found) return list;
    take(cards, found);
    return list.filter((card) => !first.names.has(card.dataset.overlay));
  }

  const widthOf = (list) => Math.max(100, ...list.map((card) => card.clientWidth));

  function take(list, { stamp, charts }) {
    const found = new Map(charts.map((chart) => [chart.metric, chart]));
    for (const card of list.filter(({ dataset }) => found.has(dataset.overlay))) {
      answers.set(card, { stamp, ...found.get(card.dataset.overlay) });
      if (visible.has(card)) draw(card);
    }
  }

  // News of charts that were not all read at once are told of each that has them.
  async function load(list, isNews = false) {
    const stamps = new Set(list.map((card) => answers.get(card)?.stamp ?? ""));
    const query = new URLSearchParams({ width: widthOf(list), ...windows.get(list[0]), ...(isNews && stamps.size === 1 && { seen: [...stamps][0] }) });
    list.forEach((card) => query.append("metric", card.dataset.overlay));
    let answer;
    try {
      answer = await fetch(`${section.dataset.compare}&${query}`);
      if (answer.status === 204) return;
      if (!answer.ok) throw new Error(String(answer.status));
    } catch {
      for (const card of list) if (!answers.has(card)) overlay.part(card, "said").textContent = "Could not be loaded. Reload the page to try again.";
      return;
    }
    take(list, await answer.json());
  }

  function draw(card) {
    overlay.draw(card, answers.get(card), runs, {
      isZoomed: () => windows.has(card),
      read: (index) => read(card, index),
      zoom: (low, high) => zoomed(card, low, high),
    });
  }

  // All of a part is asked for once the pointer has let go; a double click brings all back.
  function zoomed(card, low, high) {
    const { x, thinned } = answers.get(card);
    const isWhole = x.length === 0 || (low <= x[0] && high >= x[x.length - 1]);
    const part = `${low} ${high}`;
    if (isWhole || card.part === part || !(thinned || windows.has(card))) return;
    card.part = part;
    windows.set(card, { low, high });
    clearTimeout(card.waits);
    card.waits = setTimeout(() => load([card]), WAIT);
  }

  function read(card, index) {
    const answer = answers.get(card);
    if (!answer || answer.groups) return;
    const metric = card.dataset.overlay;
    const isOn = index !== null && answer.x[index] !== undefined;
    overlay.sayPlace(card, isOn ? format.number(answer.x[index]) : "");
    if (!isOn) return;
    const head = document.querySelector(`[data-at-head="${CSS.escape(metric)}"]`);
    if (head) head.textContent = `At ${format.number(answer.x[index])}`;
    for (const [job, value] of overlay.valuesAt(card, answer, index)) {
      const cell = rows.get(job)?.querySelector(`[data-at="${CSS.escape(metric)}"]`);
      if (cell) cell.textContent = value === null ? "–" : format.number(value);
    }
  }

  // Hidden runs stay in the address, so that it can be sent to somebody.
  function toggled({ target }) {
    if (!target.matches("[data-show-run]")) return;
    const job = Number(target.closest("[data-run]").dataset.run);
    for (const [card, answer] of answers) {
      const at = (answer.lines ?? []).findIndex((line) => line.job === job);
      const { plot } = overlay.part(card, "plot");
      if (at >= 0 && plot) plot.setSeries(at + 1, { show: target.checked });
    }
    const url = new URL(window.location.href);
    url.searchParams.delete("hide");
    for (const [pk, row] of rows) if (!row.querySelector("[data-show-run]").checked) url.searchParams.append("hide", pk);
    window.history.replaceState(null, "", url);
    keepHidden(url.searchParams.getAll("hide"));
  }

  function keepHidden(hidden) {
    for (const form of document.querySelectorAll("form[action]:has(input[name='job'])")) {
      form.querySelectorAll("input[name='hide']").forEach((input) => input.remove());
      for (const pk of hidden) {
        const input = Object.assign(document.createElement("input"), { type: "hidden", name: "hide", value: pk });
        form.append(input);
      }
    }
  }

  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) visible.add(target);
      else visible.delete(target);
      if (!isIntersecting) continue;
      if (!answers.has(target)) want(target);
      else if (!overlay.part(target, "plot").plot) draw(target);
    }
  }, { rootMargin: "200px" });

  function themed() {
    colours.clear();
    runs.theme += 1;
    for (const card of answers.keys()) draw(card);
  }

  cards.forEach((card) => observer.observe(card));
  section.addEventListener("dblclick", ({ target }) => {
    const card = target.closest("[data-overlay]");
    if (!card || !windows.has(card)) return;
    windows.delete(card);
    card.part = "";
    clearTimeout(card.waits);
    load([card]);
  });
  document.addEventListener("change", toggled);
  document.addEventListener("themechange", themed);
  if (section.dataset.active === "yes") {
    setInterval(() => { if (!document.hidden) loadAll([...visible], true); }, EVERY);
  }
})();
