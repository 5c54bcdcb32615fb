// The websocket of a page: says how the connection stands, asks for what was missed, and hands
// each message on. HTML goes to htmx; figures, log text and samples go out as events on the root:
// live:points, live:log, live:system.
(() => {
  "use strict";

  const STALE_AFTER = 25000;
  const LONGEST_WAIT = 15000;
  const REFUSED = [1008, 4401, 4403, 4404];
  const TEXTS = {
    connecting: "Connecting",
    live: "Live",
    stale: "Stale: nothing heard lately",
    reconnecting: "Reconnecting",
    offline: "Offline",
    refused: "Not live: reload the page",
    ended: "Ended",
  };

  const root = document.querySelector("[data-live]");
  const badge = document.querySelector("[data-connection]");
  if (!root || !badge || !root.hasAttribute("ws-connect")) return;

  const cursor = (name) => Number(root.dataset[name] || 0);
  const seen = { points: cursor("points"), sample: cursor("sample"), event: cursor("event"), log: cursor("log"), attempt: cursor("attempt") || 1 };
  let wanted = null;
  let wrapper = null;
  let socket = null;
  let heardAt = Date.now();
  let state = "";

  htmx.config.wsReconnectDelay = (tries) => Math.min(LONGEST_WAIT, 500 * 2 ** tries) * (0.5 + Math.random() / 2);

  function show(next) {
    if (next === state) return;
    state = next;
    const symbol = next === "refused" ? "offline" : next;
    badge.dataset.state = symbol;
    badge.querySelector("use").setAttribute("href", `${badge.dataset.icons}#${symbol}`);
    badge.querySelector("[data-connection-text]").textContent = TEXTS[next];
    root.dataset.connection = next;
  }

  // The revision of the state that the page shows: its header says so each time it is drawn.
  function revision() {
    return Number(root.querySelector("[data-revision]")?.dataset.revision || 0);
  }

  function want({ detail }) {
    wanted = detail;
    if (socket?.readyState === WebSocket.OPEN) wrapper.send(JSON.stringify({ want: wanted }));
  }

  function hasEnded() {
    return root.querySelector("[data-active]")?.dataset.active === "no";
  }

  function heard() {
    heardAt = Date.now();
    show(hasEnded() ? "ended" : "live");
  }

  function opened(event) {
    socket = event.detail.event.target;
    wrapper = event.detail.socketWrapper;
    if (root.dataset.live === "run") {
      if (wanted) wrapper.send(JSON.stringify({ want: wanted }));
      wrapper.send(JSON.stringify({ ...seen, revision: revision() }));
    }
    heard();
  }

  function closed(event) {
    const { code, target } = event.detail.event;
    if (socket !== null && target !== socket) return;
    if (hasEnded()) return show("ended");
    if (REFUSED.includes(code)) return show("refused");
    show(navigator.onLine ? "reconnecting" : "offline");
    // htmx comes back by itself after an abnormal end only; a server that restarts ends politely.
    if ([1000, 1001, 1005].includes(code)) setTimeout(reconnect, 1000 + 2000 * Math.random());
    return undefined;
  }

  function reconnect() {
    if (hasEnded() || !wrapper) return;
    heardAt = Date.now();
    show("reconnecting");
    socket = null;
    wrapper.reconnect();
  }

  function received(event) {
    const text = event.detail.message;
    heardAt = Date.now();
    if (text.startsWith("{")) {
      event.preventDefault();
      route(JSON.parse(text));
      heard();
    } else {
      keepFocus();
    }
  }

  function route(message) {
    if (message.type === "reload") return window.location.reload();
    if (message.type === "points") seen.points = message.number;
    if (message.type === "system") seen.sample = message.last;
    if (message.type === "log") {
      // A gap means that something was lost on the way: ask again from the last byte seen.
      if (!message.reset && message.start > seen.log) return reconnect();
      if (!message.reset && message.end <= seen.log) return undefined;
      seen.log = message.end;
    }
    return root.dispatchEvent(new CustomEvent(`live:${message.type}`, { detail: message }));
  }

  let focused = "";

  function keepFocus() {
    focused = document.activeElement?.id || "";
  }

  function swapped() {
    const element = focused && document.getElementById(focused);
    if (element && document.activeElement !== element) element.focus({ preventScroll: true });
    heard();
  }

  // A part in which somebody is typing stays; one that did not change is not replaced.
  function mayReplace(event) {
    const { target, fragment } = event.detail;
    const incoming = fragment.firstElementChild ?? fragment;
    const typing = target.contains(document.activeElement) && document.activeElement.matches("input, textarea");
    if (typing || target.isEqualNode(incoming)) event.detail.shouldSwap = false;
  }

  function watch() {
    if (hasEnded() || document.hidden) return;
    const silence = Date.now() - heardAt;
    if (state === "live" && silence > STALE_AFTER) show("stale");
    if (state === "stale" && silence > 2 * STALE_AFTER) reconnect();
  }

  root.addEventListener("live:want", want);
  root.addEventListener("htmx:wsConnecting", () => { if (state !== "live") show(socket ? "reconnecting" : "connecting"); });
  root.addEventListener("htmx:wsOpen", opened);
  root.addEventListener("htmx:wsClose", closed);
  root.addEventListener("htmx:wsBeforeMessage", received);
  root.addEventListener("htmx:wsAfterMessage", swapped);
  root.addEventListener("htmx:oobBeforeSwap", mayReplace);
  window.addEventListener("offline", () => show("offline"));
  window.addEventListener("online", reconnect);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && Date.now() - heardAt > STALE_AFTER) reconnect();
  });
  setInterval(watch, 2000);
  show("connecting");
})();
