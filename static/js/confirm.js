// A link with data-dialog asks in a dialog; without this file it leads to a page that asks.
(() => {
  "use strict";

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-dialog]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const dialog = document.getElementById(link.dataset.dialog);
    dialog.addEventListener("close", () => document.getElementById(link.id)?.focus(), { once: true });
    dialog.showModal();
  });
})();
