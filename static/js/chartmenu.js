// What can be done with one chart: one menu for all cards, dragging, keys, a full screen.
(() => {
  "use strict";

  const section = document.querySelector("[data-charts]");
  if (!section) return;
  const { view, changeView, card: shown, cards, axis, isLog, picture } = window.trainyard;
  const menu = document.getElementById("chart-menu");
  const dialog = document.getElementById("chart-dialog");
  const live = section.querySelector("[data-chart-live]");
  const item = (name) => menu.querySelector(`[data-do="${name}"]`);
  const withField = menu.querySelector("[data-with]");
  let current = null; // the card whose menu is open

  function open(card, button) {
    current = card;
    const names = shown.namesOf(card);
    const isOne = names.length === 1;
    item("pin").hidden = !isOne;
    item("pin").textContent = isOne && cards.isFirst(names[0]) ? "Take from the key metrics" : "Pin to the key metrics";
    item("log").textContent = isLog(card.dataset.series) ? "Linear axis" : "Log axis";
    item("apart").hidden = isOne || Boolean(card.closest("dialog"));
    item("full").hidden = Boolean(card.closest("dialog"));
    item("table").hidden = !isOne;
    item("table").href = `${section.dataset.metricUrl}?${new URLSearchParams({ name: names[0] })}`;
    for (const link of menu.querySelectorAll("[data-ending]")) {
      link.href = `${section.dataset.exportUrl.replace(/csv$/, link.dataset.ending)}?${new URLSearchParams(names.map((name) => ["name", name]))}`;
    }
    withField.value = "";
    button.parentElement.append(menu);
    menu.showPopover();
    const { bottom, right } = button.getBoundingClientRect();
    menu.style.left = `${Math.max(8, right - menu.offsetWidth)}px`;
    menu.style.top = `${Math.max(8, Math.min(bottom, window.innerHeight - menu.offsetHeight - 8))}px`;
    (menu.querySelector("button:not([hidden])") ?? menu).focus();
  }

  // The datalist is filled when somebody first needs it: there may be ten thousand names.
  async function offerNames() {
    const list = document.getElementById("chart-names");
    if (list.childElementCount > 0) return;
    list.replaceChildren(...(await cards.knownNames()).slice(0, 2000).map((name) => new Option(name)));
  }

  async function pin(name) {
    const isFirst = !cards.isFirst(name);
    const body = new URLSearchParams({ name, first: isFirst ? "1" : "0" });
    const headers = { Accept: "application/json", "X-CSRFToken": JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"] };
    let why = "Try again.";
    try {
      const answer = await fetch(section.dataset.pinUrl, { method: "POST", body, headers });
      if (answer.ok) return cards.pinned(name, isFirst);
      why = (await answer.json()).errors?.name?.[0]?.message ?? why;
    } catch {
      // the words above say what to do
    }
    return say(`${name} could not be pinned. ${why}`);
  }

  function toggleLog(series) {
    const logs = view.logs.includes(series) ? view.logs.filter((name) => name !== series) : [...view.logs, series];
    changeView({ logs });
  }

  // One chart of the metrics of both. What one of them already was is replaced.
  function put(series, more) {
    const known = series.split(shown.BETWEEN);
    const names = [...new Set([...known, ...more.split(shown.BETWEEN)])];
    if (names.length === known.length) return;
    const same = (each) => each.join(shown.BETWEEN) === series;
    const others = view.together.filter((each) => !same(each) && each.join(shown.BETWEEN) !== names.join(shown.BETWEEN));
    changeView({ together: [...others, names] });
    say(`${names.join(", ")} are in one chart, in the section Together.`);
  }

  async function putNamed() {
    const name = withField.value.trim();
    const isKnown = (await cards.knownNames()).includes(name);
    withField.setCustomValidity(isKnown ? "" : "This run has no such metric.");
    if (!isKnown) return withField.reportValidity();
    put(current.dataset.series, name);
    return menu.hidePopover();
  }

  const acts = {
    pin: (card) => pin(card.dataset.series),
    log: (card) => toggleLog(card.dataset.series),
    full: (card) => changeView({ full: card.dataset.series }),
    apart: (card) => changeView({ together: view.together.filter((each) => each.join(shown.BETWEEN) !== card.dataset.series) }),
    png: (card) => picture.save(card),
  };

  function act({ target }) {
    const chosen = target.closest("[data-do]")?.dataset.do;
    if (!chosen) return;
    if (chosen === "with") { putNamed(); return; }
    const card = current;
    menu.hidePopover();
    acts[chosen]?.(card);
  }

  function say(text) {
    live.textContent = text;
  }

  // A full screen is a card of its own in a dialog.
  function showFull() {
    const [there] = dialog.querySelectorAll("[data-series]");
    if (there?.dataset.series === view.full) return;
    if (there) cards.discard(there);
    if (!view.full) { dialog.close(); return; }
    const card = cards.cardFor(view.full, "");
    dialog.querySelector("[data-chart-full]").append(card);
    if (!dialog.open) dialog.showModal();
    cards.adopt(card);
  }

  // A click stops the crosshair at a step, in all charts; the same step again lets it go.
  function stop(element) {
    const { plot, steps } = element;
    const index = plot?.cursor.idx;
    const step = index === null || index === undefined ? undefined : steps.get(plot.data[0][index]);
    if (step !== undefined) changeView({ at: view.at === step ? null : step });
  }

  const MOVES = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };

  function move(event) {
    const element = event.target.closest("[data-chart-plot]");
    if (!element?.plot) return;
    if (event.key === "Escape" && view.at !== null) { changeView({ at: null }); return; }
    if (!(event.key in MOVES) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const steps = [...new Set(element.plot.data[0].map((x) => element.steps.get(x)))];
    const here = view.at === null ? steps.length : steps.findIndex((step) => step >= view.at);
    const next = steps[Math.max(0, Math.min(steps.length - 1, (here < 0 ? steps.length : here) + MOVES[event.key]))];
    if (next === undefined) return;
    changeView({ at: next });
    const card = element.closest("[data-series]");
    say(`Step ${next}: ${shown.part(card, "value")?.textContent ?? shown.part(card, "legend").textContent}`);
  }

  function drag(event) {
    const card = event.target.closest("[data-series]");
    if (!card || !event.target.closest(".chart-head")) return;
    event.dataTransfer.setData("application/x-metrics", card.dataset.series);
    event.dataTransfer.effectAllowed = "copy";
  }

  const under = (event) => (event.dataTransfer.types.includes("application/x-metrics") ? event.target.closest("[data-series]") : null);
  const light = (card) => section.querySelectorAll(".takes").forEach((other) => other !== card && other.classList.remove("takes"));

  section.addEventListener("dragstart", drag);
  section.addEventListener("dragend", () => light(null));
  section.addEventListener("dragover", (event) => {
    const card = under(event);
    light(card);
    if (!card) return;
    event.preventDefault();
    card.classList.add("takes");
  });
  section.addEventListener("drop", (event) => {
    const card = under(event);
    light(null);
    if (!card) return;
    event.preventDefault();
    put(card.dataset.series, event.dataTransfer.getData("application/x-metrics"));
  });
  section.addEventListener("click", (event) => {
    const button = event.target.closest("[data-chart-menu]");
    if (button) return open(button.closest("[data-series]"), button);
    const element = event.target.closest("[data-chart-plot]");
    return element ? stop(element) : undefined;
  });
  section.addEventListener("keydown", move);
  section.addEventListener("focusin", ({ target }) => { if (target.getAttribute("list") === "chart-names") offerNames(); });
  menu.addEventListener("click", act);
  // Its card may go; the menu stays.
  menu.addEventListener("toggle", ({ newState }) => { if (newState === "closed" && menu.parentElement !== section) section.append(menu); });
  withField.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    putNamed();
  });
  withField.addEventListener("input", () => withField.setCustomValidity(""));
  dialog.addEventListener("close", () => { if (view.full) changeView({ full: "" }); });
  document.addEventListener("viewchange", ({ detail }) => { if (detail.has("full")) showFull(); });
  window.addEventListener("scroll", () => menu.hidePopover(), { passive: true });
  showFull();
})();
