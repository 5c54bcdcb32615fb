// Keeps "3 m ago", "in 2 h 03 m" and the elapsed time of what is running true while the page is open.
// Of a part that hears no news the elapsed time stands still: what ran may have ended.
(() => {
  "use strict";

  const { ago, duration, until } = window.trainyard.format;

  const DEAF = "[data-stale], [data-live][data-connection]:not([data-connection='live'])";

  function write(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function since(moment) {
    return (Date.now() - Date.parse(moment)) / 1000;
  }

  function tick() {
    if (document.hidden) return;
    for (const element of document.querySelectorAll("time[data-ago]")) {
      write(element, ago(since(element.dateTime)));
    }
    for (const element of document.querySelectorAll("time[data-until]")) {
      write(element, until(-since(element.dateTime)));
    }
    for (const element of document.querySelectorAll("[data-since]")) {
      if (element.closest(DEAF)) continue;
      write(element, duration(since(element.dataset.since)));
    }
  }

  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", tick);
})();
