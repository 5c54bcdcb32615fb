// The theme: the system's, or the one that was chosen here and is remembered.
// Loaded before the first paint, so that a page never flashes in the other theme.
(() => {
  "use strict";

  const CHOICES = ["system", "light", "dark"];
  const root = document.documentElement;

  function remembered() {
    try {
      const choice = localStorage.getItem("theme");
      return CHOICES.includes(choice) ? choice : "system";
    } catch {
      return "system";
    }
  }

  function remember(choice) {
    try {
      localStorage.setItem("theme", choice);
    } catch {
      // Storage may be switched off; the choice then lasts for this page.
    }
  }

  function apply(choice) {
    if (choice === "system") delete root.dataset.theme;
    else root.dataset.theme = choice;
    for (const name of document.querySelectorAll("[data-theme-name]")) {
      name.textContent = `Theme: ${choice}`;
    }
    document.dispatchEvent(new CustomEvent("themechange"));
  }

  let current = remembered();
  root.classList.replace("no-js", "js");
  apply(current);

  document.addEventListener("DOMContentLoaded", () => apply(current));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    current = CHOICES[(CHOICES.indexOf(current) + 1) % CHOICES.length];
    remember(current);
    apply(current);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(current));
})();
