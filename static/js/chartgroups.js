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

  function place(name, group) {
    const card = copy("chart-card");
    card.dataset.series = name;
    const title = card.querySelector("[data-chart-name]");
    title.textContent = group.dataset.chartGroup === KEY_GROUP ? name : name.slice(name.indexOf("/") + 1);
    title.title = name;
    const grid = group.querySelector(".chart-grid");
    const order = group.dataset.chartGroup === KEY_GROUP ? keyOrder : (a, b) => a.localeCompare(b);
    const after = cardsOf(group).find((other) => order(other.dataset.series, name) > 0);
    grid.insertBefore(card, after ?? null);
    card.dispatchEvent(new CustomEvent("charts:adopt", { bubbles: true }));
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

  groups.addEventListener("charts:new", (event) => create(event.detail));
  search.addEventListener("input", filter);
})();
