// Pressed buttons, toasts, copying, and the slash key that leads to the search box.
(() => {
  "use strict";

  const LINGER = 8000;

  function toast(text) {
    const copy = document.getElementById("toast-template").content.cloneNode(true);
    const shown = [...document.querySelectorAll("#toasts p")].some((each) => each.textContent === text);
    if (shown) return; // a part that looks for news by itself fails again and again
    copy.querySelector("p").textContent = text;
    document.getElementById("toasts").append(copy);
  }

  function expire() {
    for (const element of document.querySelectorAll("[data-toast='success'], [data-toast='info']")) {
      setTimeout(() => element.remove(), LINGER);
    }
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      said(button, "Copied");
    } catch {
      getSelection().selectAllChildren(source);
      said(button, "Selected: press Ctrl+C");
    }
  }

  // A cell copies itself, or what it says stands for it.
  async function copyCell(cell) {
    try {
      await navigator.clipboard.writeText(cell.dataset.copyText || cell.textContent);
      cell.title = "Copied";
    } catch {
      getSelection().selectAllChildren(cell);
    }
  }

  function said(button, text) {
    const label = button.lastChild;
    const before = button.dataset.label ?? label.textContent;
    button.dataset.label = before;
    label.textContent = ` ${text}`;
    setTimeout(() => { label.textContent = before; }, 2000);
  }

  function press(event) {
    // The button is marked, not disabled: a disabled one would not be sent with its form.
    if (event.defaultPrevented || event.submitter?.formMethod === "dialog") return;
    if (event.target.hasAttribute("data-sent")) event.preventDefault();
    if (event.target.method === "post") event.target.setAttribute("data-sent", "");
    event.submitter?.setAttribute("aria-busy", "true");
  }

  function release() {
    for (const form of document.querySelectorAll("[data-sent]")) form.removeAttribute("data-sent");
    for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
    const cell = event.target.closest("[data-copy-text]");
    if (cell) copyCell(cell);
    event.target.closest("[data-dismiss]")?.closest("[data-toast]").remove();
  });
  document.addEventListener("keydown", (event) => {
    const busy = event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey;
    if (event.key !== "/" || busy) return;
    const box = document.querySelector("[data-search]");
    if (!box) return;
    event.preventDefault();
    box.focus();
  });
  document.addEventListener("submit", press);
  window.addEventListener("pageshow", release);
  document.addEventListener("htmx:afterRequest", release);
  // An answer that came from another address is another page, not a part of this one.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, pathInfo } = event.detail;
    if (!xhr.responseURL || !pathInfo) return;
    const asked = new URL(pathInfo.finalRequestPath, location.href).pathname;
    if (new URL(xhr.responseURL).pathname === asked) return;
    event.detail.shouldSwap = false;
    location.assign(xhr.responseURL);
  });
  document.addEventListener("htmx:responseError", (event) => {
    toast(`The server answered ${event.detail.xhr.status}. Nothing was changed here; try again or reload.`);
  });
  document.addEventListener("htmx:sendError", () => {
    toast("The server could not be reached. Check the connection and try again.");
  });
  expire();
})();
