// Proposes words while a filter is written: a combobox whose words the server knows.
(() => {
  "use strict";

  const WAIT = 120;
  const input = document.querySelector("[data-filter]");
  if (!input) return;

  const list = document.createElement("ul");
  list.id = "filter-proposals";
  list.className = "proposals";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Words that can stand here");
  list.hidden = true;
  input.after(list);
  for (const [name, value] of Object.entries({
    role: "combobox", "aria-autocomplete": "list", "aria-controls": list.id, "aria-expanded": "false",
  })) input.setAttribute(name, value);

  let found = { at: 0, words: [] };
  let chosen = -1;
  let asked = 0;
  let timer = 0;

  const before = () => input.value.slice(0, input.selectionStart);

  async function ask() {
    const mine = ++asked;
    const answer = await fetch(`${input.dataset.filter}?${new URLSearchParams({ where: before() })}`);
    if (!answer.ok || mine !== asked || document.activeElement !== input) return;
    found = await answer.json();
    show();
  }

  function show() {
    chosen = -1;
    const rest = before().slice(found.at);
    const words = found.words.filter((word) => word !== rest);
    list.replaceChildren(...words.map((word, at) => {
      const item = document.createElement("li");
      item.id = `filter-proposal-${at}`;
      item.setAttribute("role", "option");
      item.textContent = word;
      return item;
    }));
    toggle(words.length > 0);
  }

  function toggle(open) {
    list.hidden = !open;
    input.setAttribute("aria-expanded", String(open));
    if (!open) input.removeAttribute("aria-activedescendant");
  }

  function choose(at) {
    const items = [...list.children];
    chosen = (at + items.length) % items.length;
    items.forEach((item, index) => item.setAttribute("aria-selected", String(index === chosen)));
    items[chosen].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", items[chosen].id);
  }

  function take(word) {
    const after = input.value.slice(input.selectionStart);
    const gap = word.endsWith("(") || after.startsWith(" ") ? "" : " ";
    const head = input.value.slice(0, found.at) + word + gap;
    input.value = head + after;
    input.setSelectionRange(head.length, head.length);
    toggle(false);
    later();
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT);
  }

  const KEYS = {
    ArrowDown: () => (list.hidden ? ask() : choose(chosen + 1)),
    ArrowUp: () => { if (!list.hidden) choose(chosen < 0 ? -1 : chosen - 1); },
    Escape: () => toggle(false),
  };

  function pressed(event) {
    const isTaken = ["Enter", "Tab"].includes(event.key) && !list.hidden && chosen >= 0;
    if (isTaken) take(list.children[chosen].textContent);
    else if (event.key === "Enter") toggle(false);
    else if (KEYS[event.key]) KEYS[event.key]();
    if (isTaken || (KEYS[event.key] && event.key !== "Escape")) event.preventDefault();
  }

  input.addEventListener("input", later);
  input.addEventListener("focus", later);
  input.addEventListener("keydown", pressed);
  input.addEventListener("blur", () => toggle(false));
  // Before the field loses the focus to it.
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    const item = event.target.closest("li");
    if (item) take(item.textContent);
  });
})();
