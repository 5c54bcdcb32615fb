// A chart as a picture: what is drawn, on the page's ground, with its name above it.
(() => {
  "use strict";

  const { card: shown, colours } = window.trainyard;
  const HEAD = 24; // pixels for the name

  function drawn(card) {
    const { plot } = shown.part(card, "plot");
    if (!plot) return null;
    const source = plot.ctx.canvas;
    const canvas = document.createElement("canvas");
    const head = HEAD * devicePixelRatio;
    canvas.width = source.width;
    canvas.height = source.height + head;
    const ctx = canvas.getContext("2d");
    const palette = colours();
    ctx.fillStyle = palette.surface;
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    ctx.drawImage(source, 0, head);
    ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    let left = 8 * devicePixelRatio;
    shown.namesOf(card).forEach((name, at, all) => {
      ctx.fillStyle = all.length > 1 ? palette.lines[at % 6] : palette.text;
      ctx.fillText(name, left, head / 2);
      left += ctx.measureText(name).width + 12 * devicePixelRatio;
    });
    return canvas;
  }

  function save(card) {
    drawn(card)?.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${shown.namesOf(card).join("+").replace(/[^\w.+-]+/g, "_").slice(0, 100)}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }, "image/png");
  }

  window.trainyard.picture = { save, drawn };
})();
