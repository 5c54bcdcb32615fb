// Terminal output as lines of styled pieces: colour codes become classes, \r overwrites the line.
(() => {
  "use strict";

  const CODE = /\x1b\[([0-9;:]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]/g;
  const STYLES = { 1: "bold", 2: "dim", 3: "italic", 4: "underline" };
  const ENDS = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"] };

  function colourOf(code) {
    if (code >= 30 && code <= 37) return code - 30;
    return code >= 90 && code <= 97 ? code - 90 : null;
  }

  function apply(style, parameters) {
    const codes = (parameters || "0").split(/[;:]/).map(Number);
    for (let at = 0; at < codes.length; at += 1) {
      const code = codes[at];
      // 256 colours and true colour are passed over: 38;5;n and 38;2;r;g;b.
      if (code === 38 || code === 48) at += codes[at + 1] === 5 ? 2 : 4;
      else if (code === 0) Object.assign(style, { names: new Set(), colour: null });
      else if (STYLES[code]) style.names.add(STYLES[code]);
      else if (ENDS[code]) ENDS[code].forEach((name) => style.names.delete(name));
      else if (code === 39) style.colour = null;
      else style.colour = colourOf(code) ?? style.colour;
    }
  }

  function classesOf(style) {
    const names = [...style.names].map((name) => `ansi-${name}`);
    if (style.colour !== null) names.push(`ansi-${style.colour}`);
    return names.join(" ");
  }

  // What stays visible of a line that was written over with carriage returns.
  function visible(line) {
    const parts = line.replace(/\r+$/, "").split("\r");
    return parts[parts.length - 1];
  }

  const freshStyle = () => ({ names: new Set(), colour: null });

  // One line as [{ text, css }]; the style carries on from the line before.
  function pieces(line, style) {
    const found = [];
    const text = visible(line);
    let from = 0;
    const push = (to) => {
      if (to > from) found.push({ text: text.slice(from, to), css: classesOf(style) });
    };
    for (const match of text.matchAll(CODE)) {
      push(match.index);
      if (match[2] === "m") apply(style, match[1]);
      from = match.index + match[0].length;
    }
    push(text.length);
    return found;
  }

  window.trainyard.ansi = { pieces, freshStyle };
})();
