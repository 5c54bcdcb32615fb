// Numbers and times in the words of the server's own filters.
(() => {
  "use strict";

  const trim = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  const pad = (value) => String(value).padStart(2, "0");

  function significant(figure, digits) {
    const beforePoint = Math.floor(Math.log10(Math.abs(figure))) + 1;
    return trim(figure.toFixed(Math.max(0, digits - beforePoint)));
  }

  function number(figure) {
    if (Number.isNaN(figure)) return "nan";
    if (!Number.isFinite(figure)) return figure > 0 ? "inf" : "-inf";
    const size = Math.abs(figure);
    if (size === 0) return "0";
    if (size < 0.001 || size >= 999.5e9) {
      const [mantissa, exponent] = figure.toExponential(2).split("e");
      return `${trim(mantissa)}e${Number(exponent)}`;
    }
    const unit = [[999.5e6, "G", 1e9], [999.5e3, "M", 1e6], [999.95, "k", 1e3]].find(([limit]) => size >= limit);
    return unit ? significant(figure / unit[2], 3) + unit[1] : significant(figure, 4);
  }

  // A number on an axis whose ticks lie so far apart: as many digits as tell them apart.
  function tick(figure, by) {
    const size = Math.abs(figure);
    if (size === 0 || !(by > 0) || by > size * 0.002) return number(figure);
    const digits = Math.min(12, Math.ceil(Math.log10(size / by)) + 1);
    if (size < 0.001 || size >= 1e6) return figure.toExponential(Math.max(0, digits - 1)).replace("e+", "e");
    return significant(figure, digits);
  }

  function duration(seconds) {
    const total = Math.max(0, Math.floor(seconds));
    const days = Math.floor(total / 86400);
    const hours = Math.floor((total % 86400) / 3600);
    const minutes = Math.floor((total % 3600) / 60);
    if (days) return `${days} d ${pad(hours)} h`;
    if (hours) return `${hours} h ${pad(minutes)} m`;
    return minutes ? `${minutes} m ${pad(total % 60)} s` : `${total} s`;
  }

  function ago(seconds) {
    if (seconds < 10) return "just now";
    if (seconds < 60) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} m ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} d ago`;
  }

  function until(seconds) {
    return seconds > 0 ? `in ${duration(seconds)}` : ago(-seconds);
  }

  // A time of day with 24 hours, whatever the browser's language has.
  function clock(at) {
    const time = new Date(at * 1000);
    return [time.getHours(), time.getMinutes(), time.getSeconds()].map(pad).join(":");
  }

  // A day and a time; where marks lie so many seconds apart, as much of it as tells them apart.
  function moment(at, by = null) {
    const time = new Date(at * 1000);
    const day = `${pad(time.getMonth() + 1)}-${pad(time.getDate())}`;
    if (by === null) return `${time.getFullYear()}-${day} ${clock(at)}`;
    if (by >= 86400) return day;
    return by >= 3600 ? `${day} ${clock(at).slice(0, 5)}` : clock(at).slice(0, by >= 60 ? 5 : 8);
  }

  window.trainyard ??= {};
  window.trainyard.format = { number, tick, duration, ago, until, clock, moment };
})();
