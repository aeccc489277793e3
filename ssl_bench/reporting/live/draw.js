// What charts are made of: elements, scales, numbers in words. Texts are only ever set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

function put(parent, element, attributes, text) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function svg(parent, name, attributes = {}, text) {
  return put(parent, document.createElementNS(SVG, name), attributes, text);
}

function html(parent, name, attributes = {}, text) {
  return put(parent, document.createElement(name), attributes, text);
}

/** Two digits with a true minus sign; a dash for no number. */
function decimal(value) {
  if (value === null || value === undefined) return "\u2013";
  const text = value.toFixed(2);
  return (Number(text) === 0 ? "0.00" : text).replace("-", "\u2212");
}

function percent(share) {
  return share === null || share === undefined ? "\u2013" : (100 * share).toFixed(1);
}

function count(value) {
  return Math.round(value).toLocaleString("en-US");
}

/** A large number in few letters. */
function short(value) {
  for (const [size, letter] of [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))}${letter}`;
  }
  return String(Number(value.toPrecision(3)));
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/** Numbers on a logarithmic axis from left to right; a short linear piece leads from 0 to the first positive one. */
function logScale(values, left, right) {
  const positive = values.filter((value) => value > 0);
  const first = Math.min(...positive);
  const last = Math.max(...positive);
  const zero = values.some((value) => value <= 0);
  const start = zero && positive.length ? left + 0.11 * (right - left) : left;
  const span = Math.log(last / first) || 1;
  const place = (value) => {
    if (!positive.length || value <= 0) return left;
    return value < first ? left + (value / first) * (start - left) : start + (Math.log(value / first) / span) * (right - start);
  };
  place.ticks = [...(zero ? [0] : []), ...(positive.length ? powers(first, last) : [])];
  return place;
}

/** Powers of ten between two numbers; in a narrow span also their multiples. */
function powers(first, last) {
  for (const factors of [[1], [1, 2, 5]]) {
    const found = [];
    for (let power = Math.floor(Math.log10(first)); power <= Math.ceil(Math.log10(last)); power += 1) {
      for (const factor of factors) found.push(factor * 10 ** power);
    }
    const inside = found.filter((tick) => tick >= first * 1.2 && tick <= last * 1.05);
    if (inside.length >= 2) return inside.filter((_, index) => index % Math.ceil(inside.length / 6) === 0);
  }
  return [last];
}

/** A chart's box, made as narrow as where it will stand, so that its letters keep their size on a phone. */
function fitting(box, host) {
  return { ...box, width: clamp(host.clientWidth - 24, 280, box.width) };
}

/** A frame with ticks below and at its left; returns the drawing. */
function frame(parent, box, x, xTicks, y, yTicks, labels, name) {
  const drawing = svg(parent, "svg", { viewBox: `0 0 ${box.width} ${box.height}`, role: "img", "aria-label": name });
  const bottom = box.height - box.bottom;
  for (const [value, text] of yTicks) {
    svg(drawing, "line", { class: "grid", x1: box.left, x2: box.width - box.right, y1: y(value), y2: y(value) });
    svg(drawing, "text", { class: "tick", x: box.left - 5, y: y(value) + 3, "text-anchor": "end" }, text);
  }
  for (const [value, text] of xTicks) {
    svg(drawing, "line", { class: "rule", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 3 });
    svg(drawing, "text", { class: "tick", x: x(value), y: bottom + 13, "text-anchor": "middle" }, text);
  }
  svg(drawing, "line", { class: "rule", x1: box.left, x2: box.width - box.right, y1: bottom, y2: bottom });
  const middle = (box.left + box.width - box.right) / 2;
  svg(drawing, "text", { class: "name", x: middle, y: box.height - 4, "text-anchor": "middle" }, labels[0]);
  svg(drawing, "text", { class: "name", x: box.left, y: 10 }, labels[1]);
  return drawing;
}

/** A line through what is a number, its range over seeds behind it, and a mark at each point. */
function trace(drawing, configuration, points, wide) {
  const known = points.filter((point) => point.y !== null);
  if (!known.length) return;
  const look = { stroke: configuration.colour, fill: "none" };
  if (known.length > 1 && known.every((point) => point.low !== undefined)) {
    const around = [...known.map((point) => [point.x, point.low]), ...known.toReversed().map((point) => [point.x, point.high])];
    svg(drawing, "polygon", { points: around.map((pair) => pair.map((one) => one.toFixed(1)).join(",")).join(" "), fill: configuration.colour, class: "range" });
  }
  const line = known.map((point) => `${point.x.toFixed(1)},${point.y.toFixed(1)}`).join(" ");
  svg(drawing, "polyline", { ...look, points: line, "stroke-width": wide ? 2.6 : 1.6, "stroke-dasharray": configuration.dash });
  for (const point of known) svg(drawing, "circle", { cx: point.x, cy: point.y, r: wide ? 3 : 2, fill: configuration.colour });
}

/** A short line in the colour and dashes of a configuration, to stand before its name. */
function swatch(parent, configuration) {
  const drawing = svg(parent, "svg", { class: "swatch", viewBox: "0 0 22 8", "aria-hidden": "true" });
  svg(drawing, "line", { x1: 0, x2: 22, y1: 4, y2: 4, stroke: configuration.colour, "stroke-width": 2.5, "stroke-dasharray": configuration.dash });
}

/** A row of a table with the name of a configuration, in its colour; both are returned. */
function namedRow(body, configuration) {
  const row = html(body, "tr");
  const name = html(row, "th", { scope: "row" });
  swatch(name, configuration);
  html(name, "span", {}, configuration.label);
  return { row, name };
}
