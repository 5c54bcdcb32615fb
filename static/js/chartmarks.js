// What happened at which step: loaded once, and again when the page shows a new event.
(() => {
  "use strict";

  const section = document.querySelector("[data-charts]");
  if (!section) return;
  const { view, axis, colours } = window.trainyard;
  const WAIT = 1000;
  const NEAR = 4; // pixels
  const KINDS = ["evaluation", "checkpoint", "resume", "alert"]; // those behind are drawn over others
  let marks = [];

  async function load() {
    try {
      const answer = await fetch(section.dataset.marksUrl, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      marks = (await answer.json()).marks.sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
    } catch {
      return; // the charts are whole without them
    }
    document.dispatchEvent(new CustomEvent("viewchange", { detail: new Set(["marks"]) }));
  }

  const ends = (plot) => [plot.bbox.left, plot.bbox.left + plot.bbox.width];

  function inView(plot) {
    const [left, right] = ends(plot);
    return marks
      .map((mark) => ({ ...mark, x: plot.valToPos(axis.place(mark.step), "x", true) }))
      .filter(({ x }) => x >= left && x <= right);
  }

  const SHAPES = {
    evaluation(ctx, x, floor, size) { ctx.fillRect(x - size / 8, floor - size, size / 4, size); },
    checkpoint(ctx, x, floor, size) { ctx.fillRect(x - size / 2, floor - size, size, size); },
    resume(ctx, x, floor, size, top) {
      ctx.setLineDash([size / 2, size / 2]);
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, floor);
      ctx.stroke();
    },
    alert(ctx, x, floor, size, top) {
      ctx.beginPath();
      ctx.moveTo(x - size / 1.5, top);
      ctx.lineTo(x + size / 1.5, top);
      ctx.lineTo(x, top + 1.2 * size);
      ctx.fill();
    },
  };

  function draw(plot) {
    if (!view.marks || marks.length === 0 || !axis.ascends) return;
    const { ctx, bbox } = plot;
    const size = 6 * devicePixelRatio;
    const palette = colours();
    for (const { kind, x } of inView(plot)) {
      ctx.save();
      ctx.fillStyle = kind === "alert" ? palette.alert : palette.text;
      ctx.strokeStyle = palette.text;
      ctx.lineWidth = devicePixelRatio;
      SHAPES[kind]?.(ctx, x, bbox.top + bbox.height, size, bbox.top);
      ctx.restore();
    }
  }

  // In words what is marked where the crosshair stands.
  function near(plot, left) {
    if (!view.marks || !axis.ascends || left === null || left < 0) return "";
    const found = marks.filter(({ step }) => Math.abs(plot.valToPos(axis.place(step), "x") - left) <= NEAR);
    return [...new Set(found.map(({ words, step }) => `${words} at ${step}`))].slice(-3).join(", ");
  }

  let waiting = 0;

  function again({ target }) {
    if (!["run-events", "run-checkpoints"].includes(target?.id) && !target?.closest?.("#run-events")) return;
    clearTimeout(waiting);
    waiting = setTimeout(load, WAIT);
  }

  window.trainyard.marks = { draw, near };
  document.addEventListener("htmx:oobAfterSwap", again);
  load();
})();
