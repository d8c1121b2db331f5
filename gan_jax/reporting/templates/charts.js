"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const find = (id) => document.getElementById(id);
const axis = () => find("axis")?.value ?? data.axes[0].name;
const charts = [];

function node(parent, name, attributes = {}, text) {
  const made = name === "div" || name === "button" || name === "i" || name === "b"
    ? document.createElement(name) : document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

/* ---- numbers ---- */
function show(value, percent) {
  if (value === null || value === undefined) return "not finite";
  if (percent) return (100 * value).toFixed(1).replace(/\.0$/, "") + " %";
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return value.toExponential(2).replace("e+", "e");
  if (size >= 1e3) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(4)));
}
function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const unit = power * [1, 2, 2.5, 5, 10].find((m) => m * power >= raw * 0.999);
  const found = [];
  for (let k = Math.ceil(low / unit - 1e-9); k * unit <= high + unit * 1e-9; k++) found.push(k * unit);
  return found.map((t) => (Math.abs(t) < unit * 1e-9 ? 0 : t));
}
/* A Gaussian mean around each point, as wide as a share of the curve, over medians of five so that
   a single spike leaves no bump; what is not finite is passed over. */
function smoothed(values, share) {
  const sigma = share * values.length, reach = Math.ceil(2.5 * sigma);
  if (sigma < 0.7) return values;
  const calm = values.map((value, k) => {
    const near = values.slice(Math.max(0, k - 2), k + 3).filter((v) => v !== null).sort((a, b) => a - b);
    return value === null ? null : near[near.length >> 1];
  });
  return calm.map((value, k) => {
    if (value === null) return null;
    let sum = 0, mass = 0;
    for (let j = Math.max(0, k - reach); j <= Math.min(calm.length - 1, k + reach); j++) {
      if (calm[j] === null) continue;
      const weight = Math.exp(-0.5 * ((j - k) / sigma) ** 2);
      sum += weight * calm[j];
      mass += weight;
    }
    return sum / mass;
  });
}
/* The frame holds every smoothed point, and raw ones unless a few spikes would flatten the rest. */
function range(spec, lines) {
  if (spec.percent) return [0, 1];
  const finite = (list) => list.filter((v) => v !== null);
  const raw = finite(lines.flatMap((l) => l.lo.concat(l.hi))).sort((a, b) => a - b);
  if (!raw.length) return [0, 1];
  const at = (q) => raw[Math.round(q * (raw.length - 1))];
  const mean = finite(lines.flatMap((l) => l.smooth));
  let low = at(0), high = at(1);
  const core = at(0.99) - at(0.01);
  if (core > 0 && high - low > 4 * core) {
    low = mean.reduce((a, b) => Math.min(a, b), Math.max(low, at(0.01) - core / 2));
    high = mean.reduce((a, b) => Math.max(a, b), Math.min(high, at(0.99) + core / 2));
  }
  if (spec.zero && low > 0) low = 0;
  const margin = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  return [spec.zero && low === 0 ? 0 : low - margin, high + margin];
}

/* ---- one chart ---- */
function chart(card, spec) {
  const hidden = new Set();
  const legend = node(card, "div", { class: "legend" });
  spec.series.forEach((series, i) => {
    if (series.best !== undefined) legend.append(`best ${show(series.y[series.best])} at `
      + `${show(series.x[data.axes[0].name][series.best])} ${data.axes[0].unit}`);
    if (spec.series.length < 2) return;
    const button = node(legend, "button", { type: "button", "aria-pressed": "true", title: "show or hide" });
    node(button, "i", { style: `background:var(--c${series.color})` });
    button.append(series.name);
    button.onclick = () => {
      hidden.has(i) ? hidden.delete(i) : hidden.add(i);
      button.setAttribute("aria-pressed", String(!hidden.has(i)));
      draw();
    };
  });
  const svg = node(card, "svg", { role: "img", "aria-label": spec.label });
  const tip = node(card, "div", { class: "tip", hidden: "" });
  const edge = { left: 74, right: 14, top: 10, bottom: 44 };
  let cursor, marker, scaleX, lines;

  function draw() {
    svg.replaceChildren();
    const width = card.clientWidth - 32, height = 250;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const weight = spec.markers ? 0 : Number(find("smooth")?.value ?? 0);
    lines = spec.series.map((series, i) => ({
      ...series, i, xs: series.x[axis()], smooth: smoothed(series.y, weight),
    })).filter((line) => !hidden.has(line.i));
    const kind = data.axes.find((a) => a.name === axis());
    const all = lines.flatMap((l) => l.xs);
    let left = Math.min(0, ...all), right = Math.max(...all, left);
    if (!(right > left)) right = left + 1;
    const [low, high] = range(spec, lines);
    const right_px = width - edge.right, bottom = height - edge.bottom;
    scaleX = (x) => edge.left + ((x - left) / (right - left)) * (right_px - edge.left);
    const scaleY = (y) => bottom - ((y - low) / (high - low)) * (bottom - edge.top);

    for (const t of ticks(low, high, 5)) {
      node(svg, "line", { class: "gridline", x1: edge.left, x2: right_px, y1: scaleY(t), y2: scaleY(t) });
      node(svg, "text", { x: edge.left - 7, y: scaleY(t) + 4, "text-anchor": "end" }, show(t, spec.percent));
    }
    for (const t of ticks(left, right, Math.max(2, Math.round(width / 95)))) {
      node(svg, "line", { class: "axis", x1: scaleX(t), x2: scaleX(t), y1: bottom, y2: bottom + 4 });
      node(svg, "text", { x: scaleX(t), y: bottom + 17, "text-anchor": "middle" }, show(t));
    }
    node(svg, "line", { class: "axis", x1: edge.left, x2: right_px, y1: bottom, y2: bottom });
    node(svg, "text", { x: (edge.left + right_px) / 2, y: height - 5, "text-anchor": "middle" }, kind.label);
    const middle = (edge.top + bottom) / 2;
    node(svg, "text", { x: 11, y: middle, "text-anchor": "middle", transform: `rotate(-90 11 ${middle})` }, spec.unit);

    const clip = `clip${charts.findIndex((c) => c.card === card)}`;
    node(node(svg, "clipPath", { id: clip }), "rect",
      { x: edge.left, y: edge.top, width: right_px - edge.left + edge.right, height: bottom - edge.top });
    const plot = node(svg, "g", { "clip-path": `url(#${clip})`, fill: "none", "stroke-linejoin": "round" });
    if (spec.reference !== undefined) {
      node(plot, "line", { x1: edge.left, x2: right_px, y1: scaleY(spec.reference), y2: scaleY(spec.reference),
        stroke: "var(--soft)", "stroke-dasharray": "2 4" });
    }
    for (const event of data.events) {
      const x = scaleX(event[axis()]);
      const line = node(plot, "line", { x1: x, x2: x, y1: edge.top, y2: bottom, "stroke-dasharray": "5 3",
        stroke: event.warning ? "var(--warning)" : "var(--soft)", opacity: 0.6 });
      node(line, "title", {}, event.text);
    }
    const point = (x, y) => `${scaleX(x).toFixed(1)} ${scaleY(y).toFixed(1)}`;
    const path = (xs, ys) => ys.map((y, k) =>
      y === null ? "" : (k === 0 || ys[k - 1] === null ? "M" : "L") + point(xs[k], y)).join("");
    const band = ({ xs, lo, hi }) => xs.map((x, k) => k === 0 || lo[k] === null || lo[k - 1] === null ? ""
      : `M${point(xs[k - 1], lo[k - 1])}L${point(xs[k - 1], hi[k - 1])}L${point(x, hi[k])}L${point(x, lo[k])}Z`).join("");
    let outside = 0;
    for (const line of lines) {
      const stroke = `var(--c${line.color})`;
      outside += line.lo.filter((v, k) => v !== null && (v < low || line.hi[k] > high)).length;
      if (line.thinned) node(plot, "path", { d: band(line), fill: stroke, opacity: 0.22 });
      if (line.smooth !== line.y) node(plot, "path", { d: path(line.xs, line.y), stroke, opacity: 0.3 });
      node(plot, "path", { d: path(line.xs, line.smooth), stroke, "stroke-width": 2 });
      line.xs.forEach((x, k) => {
        if ((spec.markers || line.xs.length === 1) && line.y[k] !== null)
          node(plot, "circle", { cx: scaleX(x), cy: scaleY(line.y[k]), r: 3.2, fill: stroke });
        if (line.bad.includes(k))
          node(plot, "path", { d: `M${scaleX(x) - 4} ${bottom - 9}l8 8m0 -8l-8 8`, stroke: "var(--warning)", "stroke-width": 2 });
      });
      if (line.best !== undefined) {
        const x = scaleX(line.xs[line.best]), y = scaleY(line.y[line.best]);
        node(plot, "circle", { cx: x, cy: y, r: 7, stroke, "stroke-width": 1.5 });
      }
    }
    if (outside) node(svg, "text", { x: right_px, y: edge.top + 8, "text-anchor": "end" },
      `${outside} spike${outside > 1 ? "s" : ""} outside`);
    marker = node(svg, "line", { y1: edge.top, y2: bottom, stroke: "var(--ink)", opacity: 0.35 });
    cursor = node(svg, "line", { y1: edge.top, y2: bottom, stroke: "var(--soft)", visibility: "hidden" });
    mark();
  }
  function mark() {
    const frame = data.frames[shown];
    marker.setAttribute("visibility", frame ? "visible" : "hidden");
    if (frame) for (const end of ["x1", "x2"]) marker.setAttribute(end, scaleX(frame[axis()]));
  }
  const nearest = (xs, x) => xs.reduce((best, v, k) => (Math.abs(v - x) < Math.abs(xs[best] - x) ? k : best), 0);
  svg.addEventListener("pointermove", (event) => {
    if (!lines.length) return;
    const box = svg.getBoundingClientRect(), px = event.clientX - box.left;
    const dots = lines[0].xs.map(scaleX), at = nearest(dots, px), x = lines[0].xs[at];
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, dots[at]);
    cursor.setAttribute("visibility", "visible");
    tip.replaceChildren();
    const kind = data.axes.find((a) => a.name === axis());
    node(tip, "b", {}, `${show(x)} ${kind.unit}`);
    for (const line of lines) {
      const k = nearest(line.xs, x), row = node(tip, "div");
      node(row, "i", { style: `background:var(--c${line.color})` });
      const value = line.bad.includes(k) && line.y[k] === null ? "not finite" : show(line.smooth[k], spec.percent);
      const [mean, low, high] = [line.y[k], line.lo[k], line.hi[k]].map((v) => show(v, spec.percent));
      const raw = line.y[k] === null ? "" : line.thinned ? ` (raw ${low} to ${high})`
        : line.smooth === line.y ? "" : ` (raw ${mean})`;
      row.append(`${spec.series.length > 1 ? line.name + " " : ""}${value}${raw}`);
    }
    tip.hidden = false;
    const frame = card.getBoundingClientRect();
    const room = card.clientWidth - tip.offsetWidth - 8, offset = box.left - frame.left + dots[at];
    tip.style.left = `${offset + 12 > room ? Math.max(4, offset - tip.offsetWidth - 12) : offset + 12}px`;
    tip.style.top = `${box.top - frame.top + 14}px`;
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; cursor.setAttribute("visibility", "hidden"); });
  svg.addEventListener("click", (event) => {
    if (!data.frames.length) return;
    const px = event.clientX - svg.getBoundingClientRect().left;
    turn(nearest(data.frames.map((f) => scaleX(f[axis()])), px));
  });
  return { card, draw, mark };
}

/* ---- samples through time ---- */
const frames = [...document.querySelectorAll("#frames img")];
const slider = find("frame");
let shown = frames.length - 1, timer = null;
function turn(k) {
  frames[shown].hidden = true;
  shown = k;
  frames[k].hidden = false;
  slider.value = k;
  find("when").textContent = data.frames[k].label;
  find("save").href = frames[k].src;
  slider.setAttribute("aria-valuetext", data.frames[k].label);
  charts.forEach((c) => c.mark());
}
function play(on) {
  clearInterval(timer);
  timer = null;
  find("play").textContent = on ? "❚❚ pause" : "▶ play";
  if (!on) return;
  if (shown === frames.length - 1) turn(0);
  timer = setInterval(() => (shown < frames.length - 1 ? turn(shown + 1) : play(false)), 180);
}
if (slider) {
  find("save").href = frames[shown].src;
  slider.oninput = () => { play(false); turn(Number(slider.value)); };
  find("play").onclick = () => play(timer === null);
  document.addEventListener("keydown", (event) => {
    if (event.target.closest?.("input, select, button, summary, audio, video, textarea")) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = shown + ({ ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? NaN);
    if (frames[to]) { event.preventDefault(); play(false); turn(to); }
    if (event.key === "p") play(timer === null);
  });
}

/* ---- the curves as comma-separated values, a row for each point ---- */
function csv() {
  const quoted = (text) => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const names = data.axes.map((a) => a.name), lines = [["chart", "curve", ...names, "value"]];
  for (const spec of data.charts) for (const series of spec.series) series.y.forEach((value, k) =>
    lines.push([spec.full ?? spec.title, series.name, ...names.map((n) => series.x[n][k]), value ?? "NaN"]));
  return lines.map((line) => line.map((cell) => quoted(String(cell))).join(",")).join("\n") + "\n";
}
find("csv")?.addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "curves.csv";
  link.click();
});

/* ---- start ---- */
data.charts.forEach((spec, i) => charts.push(chart(find(`chart${i}`), spec)));
const redraw = () => charts.forEach((c) => c.draw());
for (const id of ["smooth", "axis"]) find(id)?.addEventListener("input", redraw);
addEventListener("resize", redraw);
addEventListener("beforeprint", redraw);
redraw();
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.onclick = async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
    button.textContent = "copied";
    setTimeout(() => (button.textContent = "copy"), 1200);
  };
}
