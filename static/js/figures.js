// The table of last values: takes up the points as they come.
(() => {
  "use strict";

  const { format, parsePoint } = window.trainyard;
  const table = document.querySelector("[data-figures] table");
  if (!table) return;

  const body = table.tBodies[0];
  const rows = new Map([...body.rows].map((row) => [row.dataset.figure, row]));

  function rowOf(name) {
    if (!rows.has(name)) rows.set(name, place(name));
    return rows.get(name);
  }

  function place(name) {
    const row = document.getElementById("figure-row").content.firstElementChild.cloneNode(true);
    row.dataset.figure = name;
    row.querySelector("code").textContent = name;
    const after = [...body.rows].find((other) => other.dataset.figure > name);
    body.insertBefore(row, after ?? null);
    table.hidden = false;
    document.querySelector("[data-figures-empty]").hidden = true;
    return row;
  }

  function show(name, points) {
    const [step, value] = points[points.length - 1];
    const row = rowOf(name);
    row.querySelector("[data-figure-value]").textContent = format.number(parsePoint(value));
    row.querySelector("[data-figure-step]").textContent = String(step);
  }

  document.querySelector("[data-live]").addEventListener("live:points", ({ detail }) => {
    for (const [name, points] of Object.entries(detail.series)) show(name, points);
  });
})();
