// How all charts are shown. The address has the whole view, so that a link shows the same; without
// one the view is as it was the last time.
(() => {
  "use strict";

  const PLAIN = { smoothing: 0, log: false, logs: [], x: "step", outliers: false, marks: true, together: [], open: {} };
  const OF_THIS_PAGE = { range: null, at: null, full: "", words: "" };
  const BETWEEN = "\n"; // no name has it
  const view = { ...structuredClone(PLAIN), ...OF_THIS_PAGE };
  const trainyard = window.trainyard;
  trainyard.view = view;
  if (!document.querySelector("[data-smoothing]")) return;

  const isText = (value) => typeof value === "string";
  const listOf = (value) => (Array.isArray(value) ? value.filter(isText) : []);

  // Whatever was kept or stands in the address may be anything.
  function takeOver(given) {
    view.smoothing = Math.min(0.99, Math.max(0, Number(given.smoothing) || 0));
    view.log = Boolean(given.log);
    view.outliers = Boolean(given.outliers);
    view.marks = given.marks !== false;
    view.logs = listOf(given.logs);
    view.x = isText(given.x) && /^(step|relative|time|tokens|metric:.+)$/s.test(given.x) ? given.x : "step";
    const groups = Array.isArray(given.together) ? given.together : [];
    view.together = groups.map(listOf).filter((names) => names.length > 1).slice(0, 50);
    view.open = given.open && typeof given.open === "object" ? { ...given.open } : {};
  }

  function recall() {
    try {
      takeOver({ ...PLAIN, ...JSON.parse(localStorage.getItem("charts") ?? "{}") });
    } catch {
      takeOver(PLAIN); // storage may be switched off or hold something else
    }
  }

  function keep() {
    const kept = Object.fromEntries(Object.keys(PLAIN).map((name) => [name, view[name]]));
    try {
      localStorage.setItem("charts", JSON.stringify(kept));
    } catch {
      // The view then lasts for this page.
    }
  }

  const KEYS = ["smooth", "log", "y", "x", "clip", "marks", "with", "open", "shut", "from", "to", "at", "full", "find"];

  function readAddress(query) {
    takeOver({
      smoothing: query.get("smooth"),
      log: query.get("log") === "1",
      logs: query.getAll("y"),
      x: query.get("x"),
      outliers: query.get("clip") === "1",
      marks: query.get("marks") !== "0",
      together: query.getAll("with").map((text) => text.split(BETWEEN)),
      open: Object.fromEntries([...query.getAll("shut").map((name) => [name, false]), ...query.getAll("open").map((name) => [name, true])]),
    });
    const number = (name) => (query.has(name) && query.get(name) !== "" ? Number(query.get(name)) : NaN);
    const [low, high, at] = ["from", "to", "at"].map(number);
    if (Number.isFinite(low) && Number.isFinite(high) && high > low) view.range = [low, high];
    if (Number.isFinite(at)) view.at = at;
    view.full = query.get("full") ?? "";
    view.words = query.get("find") ?? "";
  }

  function pairs() {
    const flag = (name, is, text = "1") => (is ? [[name, text]] : []);
    return [
      ...flag("smooth", view.smoothing > 0, String(view.smoothing)),
      ...flag("log", view.log),
      ...view.logs.map((name) => ["y", name]),
      ...flag("x", view.x !== "step", view.x),
      ...flag("clip", view.outliers),
      ...flag("marks", !view.marks, "0"),
      ...view.together.map((names) => ["with", names.join(BETWEEN)]),
      ...Object.entries(view.open).map(([name, is]) => [is ? "open" : "shut", name]),
      ...(view.range ? [["from", String(view.range[0])], ["to", String(view.range[1])]] : []),
      ...flag("at", view.at !== null, String(view.at)),
      ...flag("full", view.full !== "", view.full),
      ...flag("find", view.words !== "", view.words),
    ];
  }

  // Other words in the address are none of the charts' and stay.
  function write() {
    const query = new URLSearchParams(window.location.search);
    KEYS.forEach((name) => query.delete(name));
    pairs().forEach(([name, value]) => query.append(name, value));
    const text = query.toString();
    history.replaceState(history.state, "", `${window.location.pathname}${text ? `?${text}` : ""}${window.location.hash}`);
  }

  let writing = 0;

  // Browsers refuse an address that changes with every move of a slider.
  function changed(names) {
    clearTimeout(writing);
    writing = setTimeout(() => { keep(); write(); }, 200);
    document.dispatchEvent(new CustomEvent("viewchange", { detail: new Set(names) }));
  }

  trainyard.changeView = (next) => {
    Object.assign(view, next);
    changed(Object.keys(next));
  };
  // A single chart differs from all others, whichever axis these have.
  trainyard.isLog = (name) => view.log !== view.logs.includes(name);

  const query = new URLSearchParams(window.location.search);
  if (KEYS.some((name) => query.has(name))) readAddress(query);
  else recall();
})();
