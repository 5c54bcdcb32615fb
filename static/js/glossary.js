// At a metric's name, what it means: on hover and on focus. Without this the name is a link to it.
(() => {
  "use strict";

  const WAIT = 300; // before a tip comes, and before it goes: the pointer may move into it
  const root = document.querySelector("[data-glossary-url]");
  if (!root) return;

  const tip = document.createElement("div");
  Object.assign(tip, { id: "meaning-tip", className: "meaning-tip", hidden: true });
  tip.setAttribute("role", "tooltip");
  root.append(tip);
  const told = new Map();
  let shown = null;
  let timer = 0;

  // Of a chart that came later its card knows the name.
  function nameOf(link) {
    return link.dataset.meaning || link.closest("[data-series]")?.dataset.series || "";
  }

  function query(name, field) {
    return new URLSearchParams({ [field]: name, release: root.dataset.release });
  }

  async function textOf(name) {
    if (told.has(name)) return told.get(name);
    const answer = await fetch(`${root.dataset.glossaryUrl}tip/?${query(name, "name")}`);
    if (!answer.ok) return "";
    told.set(name, await answer.text());
    return told.get(name);
  }

  async function show(link) {
    const name = nameOf(link);
    if (!name) return;
    shown = link;
    let text = "";
    try {
      text = await textOf(name);
    } catch {
      // the link itself still leads to the glossary
    }
    if (!text || shown !== link) return;
    tip.innerHTML = text;
    tip.hidden = false;
    link.setAttribute("aria-describedby", tip.id);
    place(link);
  }

  function place(link) {
    const at = link.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = tip;
    const isBelow = at.bottom + height + 8 < innerHeight || at.top < height;
    tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
    tip.style.top = `${Math.max(8, isBelow ? Math.min(at.bottom + 4, innerHeight - height - 8) : at.top - height - 4)}px`;
  }

  function hide() {
    clearTimeout(timer);
    shown?.removeAttribute("aria-describedby");
    shown = null;
    tip.hidden = true;
  }

  function later(work) {
    clearTimeout(timer);
    timer = setTimeout(work, WAIT);
  }

  const linkAt = (event) => event.target.closest?.("[data-meaning]");
  const isOfTip = (node) => node instanceof Node && (tip.contains(node) || shown?.contains(node));

  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const link = linkAt(event);
    if (link && link !== shown) later(() => { hide(); show(link); });
    else if (isOfTip(event.target)) clearTimeout(timer);
    else if (shown && document.activeElement !== shown) later(hide);
    else if (!shown) clearTimeout(timer);
  });
  document.addEventListener("focusin", (event) => {
    const link = linkAt(event);
    if (link && link.matches(":focus-visible")) { hide(); show(link); }
    else if (!isOfTip(event.target)) hide();
  });
  document.addEventListener("click", (event) => {
    const link = linkAt(event);
    if (link && !link.dataset.meaning) link.href = `${root.dataset.glossaryUrl}?${query(nameOf(link), "q")}`;
  }, true);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("scroll", (event) => { if (shown && event.target !== tip) place(shown); }, true);
})();
