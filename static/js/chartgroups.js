// The cards of the charts: makes those of metrics that turn up live, of what somebody pins or puts
// together, and finds cards by name.
(() => {
  "use strict";

  const KEY_GROUP = "Key metrics";
  const TOGETHER = "Together";
  const VALIDATION = "val-core/";
  const SCORE = /^val-core\/(.+)\/[^/]+\/(mean@\d+|(best|maj)@\d+\/mean)$/;
  const section = document.querySelector("[data-charts]");
  if (!section) return;

  const { view, changeView, card: shown } = window.trainyard;
  const groups = section.querySelector("[data-chart-groups]");
  const search = section.querySelector("[data-chart-search]");
  const keys = JSON.parse(section.dataset.keys);
  const FIRST = [TOGETHER, KEY_GROUP];
  const cardsOf = (group) => [...group.querySelectorAll("[data-series]")];
  const find = (prefix) => [...groups.children].find((group) => group.dataset.chartGroup === prefix);
  const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  const comesBefore = (a, b) => rank(a) - rank(b) < 0 || (rank(a) === rank(b) && a < b);

  // The place of a metric among those that stand first; a score of validation has its own name.
  function keyPlace(name) {
    const place = keys.indexOf(name);
    return place < 0 && SCORE.test(name) ? keys.indexOf(VALIDATION) : place;
  }

  const keyOrder = (a, b) => keyPlace(a) - keyPlace(b) || a.localeCompare(b);

  function copy(id) {
    return document.getElementById(id).content.firstElementChild.cloneNode(true);
  }

  function groupFor(prefix) {
    const found = find(prefix);
    if (found) return found;
    const group = copy("chart-group");
    group.dataset.chartGroup = prefix;
    group.querySelector("[data-group-name]").textContent = prefix;
    // What stands first starts open, like on the server, whichever metric comes first.
    group.defaultOpen = FIRST.includes(prefix) || groups.childElementCount === 0;
    group.open = view.open[prefix] ?? group.defaultOpen;
    const after = [...groups.children].find((other) => comesBefore(prefix, other.dataset.chartGroup));
    groups.insertBefore(group, after ?? null);
    return group;
  }

  // As the server calls it: of an evaluation, the name of the prompts comes last.
  function inItsGroup(name) {
    const [prefix, first, ...rest] = name.split("/");
    if (first === undefined) return name;
    return prefix === "eval" && first.includes(":") ? `${rest.join("/")} · ${first}` : [first, ...rest].join("/");
  }

  function labelOf(name, prefix) {
    if (prefix === "") return name;
    if (prefix !== KEY_GROUP) return inItsGroup(name);
    const told = SCORE.exec(name);
    return told ? `Validation score, ${told[1]}` : name;
  }

  // Makes a card for one metric, or for several; it is not on the page yet.
  function cardFor(series, prefix) {
    const card = copy("chart-card");
    const names = series.split(shown.BETWEEN);
    card.dataset.series = series;
    const title = card.querySelector("[data-chart-name]");
    const value = shown.part(card, "value");
    title.parentElement.title = names.join(", ");
    const [name] = names;
    if (names.length === 1) {
      title.textContent = labelOf(name, prefix);
      value.href = `${section.dataset.metricUrl}?${new URLSearchParams({ name })}`;
    } else {
      // A name is a link to what the metric means; of several there is none.
      title.replaceWith(names.join(" + "));
      value.remove();
      shown.part(card, "legend").append(...names.map((each, at) => {
        const item = document.createElement("li");
        item.className = `line-${(at % 6) + 1}`;
        item.append(`${each} `, document.createElement("strong"));
        return item;
      }));
    }
    shown.part(card, "plot").setAttribute("aria-label", names.join(", "));
    return card;
  }

  function adopt(card) {
    card.dispatchEvent(new CustomEvent("charts:adopt", { bubbles: true }));
  }

  function discard(card) {
    card.dispatchEvent(new CustomEvent("charts:drop", { bubbles: true }));
    card.remove();
  }

  function place(name, group) {
    const prefix = group.dataset.chartGroup;
    if (cardsOf(group).some((card) => card.dataset.series === name)) return;
    const card = cardFor(name, prefix);
    const order = prefix === KEY_GROUP ? keyOrder : (a, b) => a.localeCompare(b);
    const after = prefix === TOGETHER ? null : cardsOf(group).find((other) => order(other.dataset.series, name) > 0);
    group.querySelector(".chart-grid").insertBefore(card, after ?? null);
    adopt(card);
  }

  // Of very many figures a group is filled when it is opened, a part at a time.
  const PART = 100;
  let names = null;

  async function allNames() {
    const answer = await fetch(section.dataset.namesUrl, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    return (await answer.json()).names;
  }

  async function knownNames() {
    names ??= allNames();
    try {
      return await names;
    } catch {
      names = null; // the next one asks again
      return [];
    }
  }

  const words = () => search.value.trim();

  // Part of a name, or a regular expression: what is not one yet is still a part of a name.
  function matcher(text) {
    const part = text.toLowerCase();
    let pattern = null;
    try {
      pattern = new RegExp(text, "i");
    } catch {
      // somebody is still writing it
    }
    return (name) => name.toLowerCase().includes(part) || Boolean(pattern?.test(name));
  }

  async function fill(group) {
    if (!group.open || !("groupMore" in group.dataset)) return;
    const found = await knownNames();
    const there = new Set(cardsOf(group).map((card) => card.dataset.series));
    const fits = matcher(words());
    const missing = found.filter((name) => name.split("/")[0] === group.dataset.chartGroup && !there.has(name) && fits(name));
    for (const name of missing.slice(0, PART)) {
      const card = cardFor(name, group.dataset.chartGroup);
      group.querySelector(".chart-grid").append(card);
      adopt(card);
    }
    const button = group.querySelector("[data-group-fill]") ?? group.appendChild(copy("chart-more"));
    button.hidden = missing.length <= PART;
  }

  function create({ name, isTwin }) {
    section.querySelector("[data-charts-empty]").hidden = true;
    if (keyPlace(name) >= 0 && !isTwin) place(name, groupFor(KEY_GROUP));
    place(name, groupFor(name.split("/")[0]));
    names = null;
    filter();
  }

  function filter() {
    const fits = matcher(words());
    let hits = 0;
    for (const group of groups.children) hits += filterGroup(group, fits);
    section.querySelector("[data-charts-none]").hidden = words() === "" || hits > 0;
  }

  function filterGroup(group, fits) {
    const cards = cardsOf(group);
    // What is not there yet cannot be searched; opening the group looks for it.
    if ("groupMore" in group.dataset) return 1;
    for (const card of cards) card.hidden = !fits(card.dataset.series);
    const left = cards.filter((card) => !card.hidden).length;
    group.hidden = left === 0;
    group.querySelector("[data-group-count]").textContent = left === cards.length ? String(left) : `${left} of ${cards.length}`;
    unfold(group, words() !== "");
    return left;
  }

  // A search opens every group that has a hit, and gives back what was open before.
  function unfold(group, searching) {
    if (searching) {
      group.dataset.wasOpen ??= String(group.open);
      group.open = true;
    } else if (group.dataset.wasOpen) {
      group.open = group.dataset.wasOpen === "true";
      delete group.dataset.wasOpen;
    }
  }

  // What a user folds stays so, here and on the pages of other runs.
  function folded({ target }) {
    fill(target);
    const name = target.dataset?.chartGroup;
    if (name && !("wasOpen" in target.dataset) && (view.open[name] ?? target.defaultOpen) !== target.open) {
      changeView({ open: { ...view.open, [name]: target.open } });
    }
  }

  function refold() {
    for (const group of groups.children) {
      group.defaultOpen = group.open;
      group.open = view.open[group.dataset.chartGroup] ?? group.open;
    }
  }

  // Puts a metric among the first or takes it away; the server remembers it for all runs of the kind.
  function pinned(name, isFirst) {
    const group = find(KEY_GROUP);
    if (isFirst) {
      if (keyPlace(name) < 0) keys.push(name);
      place(name, groupFor(KEY_GROUP));
    } else {
      if (keys.includes(name)) keys.splice(keys.indexOf(name), 1);
      cardsOf(group).filter((card) => card.dataset.series === name).forEach(discard);
    }
    filter();
  }

  // The charts of several metrics, as the view has them; those that the run does not have are left out.
  async function showTogether() {
    if (view.together.length === 0 && !find(TOGETHER)) return;
    const known = new Set(await knownNames());
    const wanted = view.together.filter((each) => each.every((name) => known.has(name))).map((each) => each.join(shown.BETWEEN));
    const group = groupFor(TOGETHER);
    cardsOf(group).filter((card) => !wanted.includes(card.dataset.series)).forEach(discard);
    wanted.forEach((series) => place(series, group));
    if (wanted.length === 0) group.remove();
    filter();
  }

  groups.addEventListener("toggle", folded, { capture: true });
  groups.addEventListener("click", ({ target }) => {
    if (target.closest("[data-group-fill]")) fill(target.closest("[data-chart-group]"));
  });
  groups.addEventListener("charts:new", (event) => create(event.detail));
  search.addEventListener("input", () => {
    filter();
    changeView({ words: search.value });
  });
  document.addEventListener("viewchange", ({ detail }) => { if (detail.has("together")) showTogether(); });

  window.trainyard.cards = { cardFor, adopt, discard, pinned, knownNames, isFirst: (name) => Boolean(find(KEY_GROUP)?.querySelector(`[data-series="${CSS.escape(name)}"]`)) };
  refold();
  search.value = view.words;
  if (view.words) filter();
  showTogether();
})();
