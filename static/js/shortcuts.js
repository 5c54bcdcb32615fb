// Keyboard shortcuts: a list of them, addresses of the site by two keys, the sections of a page.
(() => {
  "use strict";

  const dialog = document.getElementById("shortcuts-dialog");
  if (!dialog) return;
  const WAIT = 1500; // for the second key
  const links = new Map([...dialog.querySelectorAll("[data-keys]")].map((link) => [link.dataset.keys, link]));
  let first = "";
  let timer = 0;

  function open() {
    dialog.showModal();
  }

  // From the section that has the focus, or from the one at the upper edge.
  function section(by) {
    const all = [...document.querySelectorAll("main section[id][aria-labelledby]")].filter((each) => each.offsetParent);
    const edge = document.querySelector(".run-bar")?.offsetHeight ?? 0;
    const focused = all.findIndex((each) => each === document.activeElement);
    const next = all.findIndex((each) => each.getBoundingClientRect().top > edge + 24);
    const here = focused >= 0 ? focused : (next < 0 ? all.length : next) - (by > 0 ? 1 : 0);
    const found = all[here + by];
    if (!found) return;
    found.tabIndex = -1;
    found.focus({ preventScroll: true });
    scrollBy({ top: found.getBoundingClientRect().top - edge - 8 });
  }

  function follow(key) {
    const link = links.get(`${first} ${key}`);
    clearTimeout(timer);
    first = key === "g" && !first ? "g" : "";
    if (first) timer = setTimeout(() => { first = ""; }, WAIT);
    if (link) location.assign(link.href);
    return Boolean(link);
  }

  document.addEventListener("keydown", (event) => {
    const busy = event.target.closest("input, select, textarea, [contenteditable]") || event.ctrlKey || event.metaKey || event.altKey;
    if (busy || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.key === "?") open();
    else if (event.key === "]") section(1);
    else if (event.key === "[") section(-1);
    else if (!follow(event.key)) return;
    event.preventDefault();
  });
  document.querySelector("[data-shortcuts]")?.addEventListener("click", open);
})();
