// Runs over each other: loads the charts in view, hides runs, reads figures at the crosshair, and
// looks for news while a run goes on.
(() => {
  "use strict";

  const { overlay, format } = window.trainyard;
  const EVERY = 5000;
  const WAIT = 150;
  const section = document.querySelector("[data-compare]");
  if (!section) return;

  const rows = new Map([...document.querySelectorAll("[data-run]")].map((row) => [Number(row.dataset.run), row]));
  const groups = [...document.querySelectorAll("[data-group]")];
  const cards = [...section.querySelectorAll("[data-overlay]")];
  const answers = new Map();
  const windows = new Map();
  const visible = new Set();

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

  async function load(card, isNews = false) {
    const query = { metric: card.dataset.overlay, width: Math.max(100, card.clientWidth), ...windows.get(card) };
    if (isNews) query.seen = answers.get(card)?.stamp ?? "";
    let answer;
    try {
      answer = await fetch(`${section.dataset.compare}&${new URLSearchParams(query)}`);
      if (answer.status === 204) return;
      if (!answer.ok) throw new Error(String(answer.status));
    } catch {
      if (!answers.has(card)) overlay.part(card, "said").textContent = "Could not be loaded. Reload the page to try again.";
      return;
    }
    answers.set(card, await answer.json());
    draw(card);
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
    card.waits = setTimeout(() => load(card), WAIT);
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

  async function copied({ target }) {
    const cell = target.closest("[data-copy-text]");
    if (!cell) return;
    try {
      await navigator.clipboard.writeText(cell.textContent);
      cell.title = "Copied";
    } catch {
      getSelection().selectAllChildren(cell);
    }
  }

  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) visible.add(target);
      else visible.delete(target);
      if (isIntersecting && !answers.has(target)) load(target);
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
    load(card);
  });
  document.addEventListener("change", toggled);
  document.addEventListener("click", copied);
  document.addEventListener("themechange", themed);
  if (section.dataset.active === "yes") {
    setInterval(() => { if (!document.hidden) visible.forEach((card) => load(card, true)); }, EVERY);
  }
})();
