// The cards of the charts: makes those of metrics that turn up live, and finds cards by name.
(() => {
  "use strict";

  const KEY_GROUP = "Key metrics";
  const section = document.querySelector("[data-charts]");
  if (!section) return;

  const groups = section.querySelector("[data-chart-groups]");
  const search = section.querySelector("[data-chart-search]");
  const keys = (section.dataset.keys || "").split(" ");
  const keyOrder = (a, b) => keys.indexOf(a) - keys.indexOf(b);
  const cardsOf = (group) => [...group.querySelectorAll("[data-series]")];

  function copy(id) {
    return document.getElementById(id).content.firstElementChild.cloneNode(true);
  }

  const comesBefore = (a, b) => b !== KEY_GROUP && (a === KEY_GROUP || a < b);

  function groupFor(prefix) {
    const found = [...groups.children].find((group) => group.dataset.chartGroup === prefix);
    if (found) return found;
    const group = copy("chart-group");
    group.dataset.chartGroup = prefix;
    group.querySelector("[data-group-name]").textContent = prefix;
    // The key metrics start open, like on the server, whichever metric comes first.
    group.open = prefix === KEY_GROUP || groups.childElementCount === 0;
    const after = [...groups.children].find((other) => comesBefore(prefix, other.dataset.chartGroup));
    groups.insertBefore(group, after ?? null);
    return group;
  }

  function dress(card, name, group) {
    card.dataset.series = name;
    const title = card.querySelector("[data-chart-name]");
    title.textContent = group.dataset.chartGroup === KEY_GROUP ? name : name.slice(name.indexOf("/") + 1);
    title.title = name;
  }

  function place(name, group) {
    const card = copy("chart-card");
    dress(card, name, group);
    const grid = group.querySelector(".chart-grid");
    const order = group.dataset.chartGroup === KEY_GROUP ? keyOrder : (a, b) => a.localeCompare(b);
    const after = cardsOf(group).find((other) => order(other.dataset.series, name) > 0);
    grid.insertBefore(card, after ?? null);
    card.dispatchEvent(new CustomEvent("charts:adopt", { bubbles: true }));
  }

  // Of very many figures a group is filled when it is opened, a part at a time.
  const PART = 100;
  let names = null;

  async function allNames() {
    const answer = await fetch(section.dataset.namesUrl, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    return (await answer.json()).names;
  }

  async function fill(group) {
    if (!group.open || !("groupMore" in group.dataset)) return;
    names ??= allNames();
    let found;
    try {
      found = await names;
    } catch {
      names = null; // opening it again asks again
      return;
    }
    const there = new Set(cardsOf(group).map((card) => card.dataset.series));
    const words = search.value.trim().toLowerCase();
    const missing = found.filter((name) => name.split("/")[0] === group.dataset.chartGroup && !there.has(name) && name.toLowerCase().includes(words));
    missing.slice(0, PART).forEach((name) => append(name, group));
    more(group, missing.length > PART);
  }

  function append(name, group) {
    const card = copy("chart-card");
    dress(card, name, group);
    group.querySelector(".chart-grid").append(card);
    card.dispatchEvent(new CustomEvent("charts:adopt", { bubbles: true }));
  }

  function more(group, isMore) {
    const button = group.querySelector("[data-group-fill]") ?? group.appendChild(copy("chart-more"));
    button.hidden = !isMore;
  }

  function create(name) {
    section.querySelector("[data-charts-empty]").hidden = true;
    if (keys.includes(name)) place(name, groupFor(KEY_GROUP));
    place(name, groupFor(name.split("/")[0]));
    filter();
  }

  function filter() {
    const words = search.value.trim().toLowerCase();
    let hits = 0;
    for (const group of groups.children) hits += filterGroup(group, words);
    section.querySelector("[data-charts-none]").hidden = words === "" || hits > 0;
  }

  function filterGroup(group, words) {
    const cards = cardsOf(group);
    // What is not there yet cannot be searched; opening the group looks for it.
    if ("groupMore" in group.dataset) return 1;
    for (const card of cards) card.hidden = !card.dataset.series.toLowerCase().includes(words);
    const shown = cards.filter((card) => !card.hidden).length;
    group.hidden = shown === 0;
    group.querySelector("[data-group-count]").textContent =
      shown === cards.length ? String(shown) : `${shown} of ${cards.length}`;
    unfold(group, words !== "");
    return shown;
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

  groups.addEventListener("toggle", (event) => fill(event.target), { capture: true });
  groups.addEventListener("click", ({ target }) => {
    if (target.closest("[data-group-fill]")) fill(target.closest("[data-chart-group]"));
  });
  groups.addEventListener("charts:new", (event) => create(event.detail));
  search.addEventListener("input", filter);
})();
