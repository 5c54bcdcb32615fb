// On a phone the sections of a run's page fold at their heads. What was folded stays so.
(() => {
  "use strict";

  const KEPT = "trainyard-folded";
  const panels = [...document.querySelectorAll(".run-sections > .panel[id]")];
  const folded = new Set(JSON.parse(localStorage.getItem(KEPT) ?? "[]"));

  function show(panel, button) {
    const isFolded = folded.has(panel.id);
    panel.toggleAttribute("data-folded", isFolded);
    button.setAttribute("aria-expanded", String(!isFolded));
    button.textContent = isFolded ? "Show" : "Fold";
  }

  function dress(panel) {
    const head = panel.querySelector(".panel-head");
    const title = head?.querySelector("h2");
    if (!title) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button quiet compact fold-toggle";
    button.setAttribute("aria-describedby", title.id);
    button.addEventListener("click", () => {
      if (!folded.delete(panel.id)) folded.add(panel.id);
      localStorage.setItem(KEPT, JSON.stringify([...folded]));
      show(panel, button);
    });
    title.after(button);
    show(panel, button);
    addEventListener("hashchange", () => {
      if (location.hash !== `#${panel.id}`) return;
      folded.delete(panel.id);
      show(panel, button);
    });
  }

  panels.forEach(dress);
})();
