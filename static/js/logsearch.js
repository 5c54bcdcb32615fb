// Finding things in the log: a search from hit to hit, and the first error.
(() => {
  "use strict";

  const FAILURE = /\b(Traceback \(most recent call last\)|\w*(Error|Exception)\b(?=[:(]|$)|CUDA out of memory|Killed|FATAL)/;
  const section = document.querySelector("[data-log-section]");
  if (!section) return;

  const form = section.querySelector("[data-log-search]");
  const box = form.querySelector("input");
  const pre = section.querySelector("[data-log-text]");
  const says = section.querySelector("[data-log-hits]");
  let current = null;

  const lines = () => [...pre.children];

  function show(line) {
    section.dispatchEvent(new CustomEvent("log:hold"));
    current?.classList.remove("current");
    current = line;
    line.classList.add("current");
    const view = pre.parentElement;
    view.scrollTop += line.getBoundingClientRect().top - view.getBoundingClientRect().top - view.clientHeight / 3;
  }

  function clear() {
    for (const line of pre.querySelectorAll(".found, .current")) line.classList.remove("found", "current");
    current = null;
    says.textContent = "";
  }

  function find() {
    clear();
    const words = box.value.toLowerCase();
    if (words === "") return;
    const hits = lines().filter((line) => line.textContent.toLowerCase().includes(words));
    hits.forEach((line) => line.classList.add("found"));
    says.textContent = hits.length === 0 ? "Not in the lines shown" : `${hits.length} lines, Enter for the next`;
    if (hits.length > 0) show(hits[hits.length - 1]);
  }

  function next(backwards) {
    const hits = [...pre.querySelectorAll(".found")];
    if (hits.length === 0) return find();
    const step = backwards ? 1 : -1;
    const at = (hits.indexOf(current) + step + hits.length) % hits.length;
    show(hits[at]);
    says.textContent = `${at + 1} of ${hits.length}`;
    return undefined;
  }

  function firstError() {
    clear();
    const line = lines().find((each) => FAILURE.test(each.textContent));
    if (line) show(line);
    else says.textContent = "No error in the lines shown";
  }

  box.addEventListener("input", find);
  form.addEventListener("submit", (event) => event.preventDefault());
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    next(event.shiftKey);
  });
  section.querySelector("[data-log-error]").addEventListener("click", firstError);
})();
