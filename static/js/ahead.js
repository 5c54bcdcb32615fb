// Asks for the points of the first charts while the browser still reads the page. They are of use
// where the charts are shown as they are without a choice: otherwise other points are asked for.
(() => {
  "use strict";

  const { url, names } = document.currentScript.dataset;
  const CHOICES = ["smooth", "x"]; // of how charts are shown; the address has the others as well
  const OTHERS = ["log", "y", "clip", "marks", "with", "open", "shut", "from", "to", "at", "full", "find"];

  function isPlain() {
    const query = new URLSearchParams(window.location.search);
    if (CHOICES.some((name) => query.has(name))) return false;
    if (OTHERS.some((name) => query.has(name))) return true;
    try {
      const kept = JSON.parse(localStorage.getItem("charts") ?? "{}");
      return !(kept.smoothing > 0) && (kept.x ?? "step") === "step";
    } catch {
      return true;
    }
  }

  if (names === "name" && !isPlain()) return;
  const query = new URL(url, window.location.href).searchParams;
  const answer = fetch(url, { headers: { Accept: "application/json" } }).then((found) => (found.ok ? found.json() : null)).catch(() => null);
  window.trainyard = { ahead: { names: new Set(query.getAll(names)), width: Number(query.get("width")), answer } };
})();
