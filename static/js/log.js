// The log: the tail that the server sent, then what arrives live, without growing for ever.
(() => {
  "use strict";

  const HELD_MOST = 1000000;

  const MOST_LINES = 5000;
  const { pieces, freshStyle } = window.trainyard.ansi;
  const section = document.querySelector("[data-log-section]");
  if (!section) return;

  const view = section.querySelector("[data-log-view]");
  const pre = section.querySelector("[data-log-text]");
  const note = section.querySelector("[data-log-note]");
  const followButton = section.querySelector("[data-log-follow]");
  const pauseButton = section.querySelector("[data-log-pause]");
  const link = section.querySelector("[data-log-link]");
  const download = section.querySelector("[download]").href;
  const bytes = new TextEncoder();

  let style = freshStyle();
  let open = null; // the last line, as long as its newline has not come
  let held = ""; // what arrived while paused, up to the byte heldTo
  let heldTo = 0;
  let paused = false;
  let following = true;
  let position = Number(view.dataset.logStart); // the byte of the log at which the next line begins

  function write(text) {
    const lines = text.split("\n");
    const fresh = document.createDocumentFragment();
    lines.forEach((line, at) => {
      const ends = at < lines.length - 1;
      if (line === "" && !ends) return;
      const element = open ? open.element : fresh.appendChild(lineElement());
      const raw = (open?.raw ?? "") + line;
      element.dataset.at ??= position;
      position += bytes.encode(line).length + (ends ? 1 : 0);
      const before = open?.style ?? copyOf(style);
      style = copyOf(before);
      fillIn(element, raw);
      open = ends ? null : { element, raw: shorten(raw), style: before };
    });
    pre.append(fresh);
    trim();
    if (following) toEnd();
  }

  const copyOf = (other) => ({ names: new Set(other.names), colour: other.colour });

  // A progress bar rewrites one line for hours: only what can still be seen is kept of it.
  const shorten = (raw) => {
    const at = raw.lastIndexOf("\r", raw.length - 2);
    return at > 0 ? raw.slice(at) : raw;
  };

  function lineElement() {
    const element = document.createElement("span");
    element.className = "log-line";
    return element;
  }

  function fillIn(element, raw) {
    element.replaceChildren(...pieces(raw, style).map(({ text, css }) => {
      if (!css) return document.createTextNode(text);
      const span = document.createElement("span");
      span.className = css;
      span.textContent = text;
      return span;
    }));
  }

  function trim() {
    const extra = pre.childElementCount - MOST_LINES;
    if (extra <= 0) return;
    const before = view.scrollHeight;
    for (let count = 0; count < extra; count += 1) pre.firstElementChild.remove();
    if (!following) view.scrollTop -= before - view.scrollHeight;
    sayTrimmed();
  }

  function sayTrimmed() {
    const link = document.createElement("a");
    link.href = download;
    link.textContent = "whole log";
    note.replaceChildren(`The last ${MOST_LINES} lines; the beginning is in the `, link, ".");
  }

  function toEnd() {
    view.scrollTop = view.scrollHeight;
  }

  function follow(on) {
    following = on;
    followButton?.setAttribute("aria-pressed", String(on));
    if (on) toEnd();
  }

  function pause(on) {
    paused = on;
    pauseButton?.setAttribute("aria-pressed", String(on));
    if (on || !held) return;
    position = heldTo - bytes.encode(held).length;
    write(held);
    held = "";
    if (note.querySelector("a") === null) note.textContent = "";
  }

  function replaceAll(text, start) {
    pre.replaceChildren();
    position = start;
    style = freshStyle();
    open = null;
    held = "";
    write(text);
  }

  function received({ detail }) {
    if (detail.reset) return replaceAll(detail.text, detail.start);
    if (note.querySelector("a") === null) note.textContent = "";
    if (!paused) {
      position = detail.start; // bytes that are no UTF-8 count otherwise here
      return write(detail.text);
    }
    // Only the end can be shown again anyway.
    held = (held + detail.text).slice(-HELD_MOST);
    heldTo = detail.end;
    if (note.querySelector("a") === null) note.textContent = "Paused: new lines are held back.";
    return undefined;
  }

  // A log that cannot grow any more has nothing to follow, and holds nothing back.
  function ended() {
    if (document.getElementById("run-header")?.dataset.active !== "no" || !pauseButton) return;
    pause(false);
    followButton.hidden = true;
    pauseButton.hidden = true;
  }

  let lastTop = 0;
  view.addEventListener("scroll", () => {
    const atEnd = view.scrollHeight - view.scrollTop - view.clientHeight < 24;
    if (view.scrollTop < lastTop && !atEnd && following) follow(false);
    else if (atEnd && !following && view.scrollTop > lastTop) follow(true);
    lastTop = view.scrollTop;
  }, { passive: true });
  followButton?.addEventListener("click", () => follow(!following));
  pauseButton?.addEventListener("click", () => pause(!paused));
  pre.addEventListener("click", ({ target }) => {
    const line = target.closest(".log-line");
    pre.querySelector(".current")?.classList.remove("current");
    line?.classList.toggle("current", true);
    link.hidden = line === null;
    if (line) link.href = `${view.dataset.logLine.replace(/0\/$/, `${line.dataset.at}/`)}#line`;
  });
  document.querySelector("[data-live]").addEventListener("live:log", received);
  document.querySelector("[data-live]").addEventListener("htmx:wsAfterMessage", ended);
  // Without a script the log has no codes; they come beside it for the colours.
  replaceAll((section.querySelector("[data-log-raw]")?.content ?? pre).textContent, position);
})();
