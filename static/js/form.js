// Marks what differs from the recipe, resets it, and leads to what must be put right.
(() => {
  "use strict";

  const INPUTS = "input:not([type='hidden']), select, textarea";
  const FILES = ["train_files", "val_files"];

  // Ticked boxes of one field are one value, joined by commas.
  function valueOf(field) {
    const boxes = [...field.querySelectorAll("input[type='checkbox']")];
    if (boxes.length) return boxes.filter((box) => box.checked).map((box) => box.value).join(",");
    return field.querySelector(INPUTS).value;
  }

  function setValue(field, value) {
    const boxes = [...field.querySelectorAll("input[type='checkbox']")];
    for (const box of boxes) box.checked = value.split(",").includes(box.value);
    if (!boxes.length) field.querySelector(INPUTS).value = value;
  }

  function mark(field) {
    if (!field.querySelector(INPUTS) || field.dataset.default === undefined) return;
    field.classList.toggle("changed", valueOf(field) !== field.dataset.default);
    countIn(field.closest("[data-group]"));
  }

  function countIn(group) {
    const tag = group?.querySelector("[data-group-changed]");
    if (!tag) return;
    const changed = group.querySelectorAll(".field.changed").length;
    tag.hidden = changed === 0;
    tag.textContent = `${changed} changed`;
  }

  function reset(field) {
    const input = field.querySelector(INPUTS);
    setValue(field, field.dataset.default);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.focus();
  }

  function reveal(link) {
    const input = document.getElementById(link.hash.slice(1));
    if (!input) return false;
    const group = input.closest("details");
    if (group) group.open = true;
    input.focus();
    return true;
  }

  function openGroupsWithErrors() {
    for (const slot of document.querySelectorAll(".field-error:not(:empty)")) {
      const group = slot.closest("details");
      if (group) group.open = true;
    }
  }

  function start() {
    document.querySelectorAll("[data-field]").forEach(mark);
    const summary = document.querySelector("[data-error-summary]");
    if (!summary) return;
    openGroupsWithErrors();
    summary.focus();
  }

  function sayInvalid() {
    for (const slot of document.querySelectorAll(".field-error")) {
      const input = slot.closest("[data-field]")?.querySelector(INPUTS);
      if (slot.textContent.trim()) input?.setAttribute("aria-invalid", "true");
      else input?.removeAttribute("aria-invalid");
    }
  }

  // What an empty field stands for depends on the method and on the machine.
  function sayUnset() {
    const words = JSON.parse(document.getElementById("preview")?.dataset.unset || "{}");
    for (const [name, said] of Object.entries(words)) {
      const input = document.getElementById(`id_${name}`);
      const none = input?.querySelector("option[value='']");
      if (none) none.textContent = said;
      else if (input?.hasAttribute("placeholder")) input.placeholder = said;
    }
  }

  // The command is longer than its box: the first line that is marked is brought into it.
  function showMark() {
    const mark = document.querySelector("#preview-command mark");
    if (mark) mark.parentElement.scrollTop = mark.offsetTop - mark.parentElement.offsetTop - 40;
  }

  // Files that were typed are those of no data set.
  function leaveDataset(field) {
    const chosen = document.getElementById("id_dataset");
    if (chosen && FILES.includes(field.dataset.field)) chosen.value = "";
  }

  function touched(event) {
    const field = event.target.closest("[data-field]");
    if (!field) return;
    mark(field);
    leaveDataset(field);
  }

  // The plan is a page of its own: htmx would put it inside the form.
  function plan(button) {
    const form = button.form;
    const action = form.getAttribute("action");
    form.setAttribute("action", button.formAction);
    HTMLFormElement.prototype.submit.call(form);
    form.setAttribute("action", action);
  }

  document.addEventListener("input", touched, true);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-reset]");
    if (button) reset(button.closest("[data-field]"));
    const planner = event.target.closest("[data-plan]");
    if (planner) {
      event.preventDefault();
      plan(planner);
    }
    const link = event.target.closest("#error-summary a, [data-reveal]");
    if (link && reveal(link)) event.preventDefault();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.elt.id === "job-form") start();
    for (const name of FILES) document.querySelectorAll(`[data-field='${name}']`).forEach(mark);
    sayInvalid();
    sayUnset();
    showMark();
  });
  start();
  showMark();
})();
