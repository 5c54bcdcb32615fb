// Drag a waiting job to another place; the buttons of its row do the same.
(() => {
  "use strict";

  let dragged = null;

  function rowOf(event) {
    const row = event.target.closest("[data-queue-row]");
    return row && dragged && row !== dragged && row.dataset.queueGroup === dragged.dataset.queueGroup ? row : null;
  }

  function side(row, event) {
    const box = row.getBoundingClientRect();
    return event.clientY < box.top + box.height / 2 ? "before" : "behind";
  }

  function unmark() {
    for (const row of document.querySelectorAll(".drop-before, .drop-behind")) {
      row.classList.remove("drop-before", "drop-behind");
    }
  }

  function begin(event) {
    const grip = event.target.closest?.("[data-queue-grip]");
    if (!grip) return;
    dragged = grip.closest("[data-queue-row]");
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.dataset.queueRow);
    event.dataTransfer.setDragImage(dragged, 0, 0);
    dragged.classList.add("dragged");
  }

  function over(event) {
    unmark();
    const row = rowOf(event);
    if (!row) return;
    event.preventDefault();
    row.classList.add(`drop-${side(row, event)}`);
  }

  function drop(event) {
    const row = rowOf(event);
    if (!row) return;
    event.preventDefault();
    const form = dragged.querySelector("[name='before']").form;
    form.elements[side(row, event)].value = row.dataset.queueRow;
    end();
    form.requestSubmit();
  }

  function end() {
    dragged?.classList.remove("dragged");
    dragged = null;
    unmark();
  }

  // What is being done is not swapped away; the next look comes three seconds later.
  function busy() {
    const queue = document.getElementById("queue");
    return dragged || queue.querySelector("details[open], form.htmx-request") || queue.querySelector("select:focus, input:focus");
  }

  document.addEventListener("dragstart", begin);
  document.addEventListener("dragover", over);
  document.addEventListener("drop", drop);
  document.addEventListener("dragend", end);
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.matches("[data-queue-poll]") && (document.hidden || busy())) event.preventDefault();
  });
  // A form that is swapped away has no place left for its answer.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.requestConfig.elt.matches("[data-queue-poll]") && busy()) event.detail.shouldSwap = false;
  });
})();
