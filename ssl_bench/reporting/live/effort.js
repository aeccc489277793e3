// Accuracy against what it cost: images seen, seconds or operations of training, on a logarithmic axis.
// The cursor is a snapshot of one configuration; it is moved by the pointer, and by arrow keys on the chart.

const CHART = { width: 640, height: 330, left: 38, right: 14, top: 18, bottom: 34 };
const AXES = {
  samples: ["images seen", (value) => `${count(value)} images`],
  seconds: ["seconds of training", (value) => `${short(value)} seconds`],
  flops: ["floating point operations of training", (value) => `${short(value)} operations`],
};

class Effort {
  constructor(root, data, choice) {
    Object.assign(this, { root, data, choice });
    this.part = (name) => root.querySelector(`[data-role="${name}"]`);
    this.cursor = null;
    const [axis, measure] = ["axis", "measure"].map(this.part);
    for (const name of new Set(data.accuracy.map((one) => one.measure))) html(measure, "option", {}, name);
    for (const select of [axis, measure]) select.addEventListener("change", () => this.draw());
    this.possible = new Set(data.accuracy.map((one) => one.configuration));
    choice.boxes(this.part("chooser"), this.possible);
    choice.follow(() => this.draw());
    this.draw();
  }

  /** Draw all anew: another axis, measure or choice. */
  draw() {
    this.axis = this.part("axis").value;
    const shown = (one) => one.measure === this.part("measure").value && this.choice.shown.has(one.configuration);
    this.curves = this.data.accuracy.filter((one) => shown(one) && one[this.axis].every((value) => value !== null));
    this.choice.explain(this.part, this.possible, !this.curves.length);
    const host = this.part("chart");
    host.replaceChildren();
    this.box = fitting(CHART, host);
    this.#table();
    if (!this.curves.length) return;
    const [x, y] = this.#scales();
    const ends = y.ticks.map((value) => [value, percent(value)]);
    const labels = [AXES[this.axis][0], "top-1, %"];
    const name = `Accuracy against ${labels[0]}; arrow keys move along a curve and between curves`;
    const below = x.ticks.map((value) => [value, short(value)]);
    const drawing = frame(host, this.box, x, below, y, ends, labels, name);
    for (const [key, value] of [["role", "group"], ["tabindex", 0], ["class", "map"]]) drawing.setAttribute(key, value);
    for (const one of this.curves) trace(drawing, this.#configuration(one), this.#points(one, x, y), false);
    this.mark = svg(drawing, "circle", { class: "cursor", r: 6, visibility: "hidden" });
    this.#listen(drawing, x, y);
  }

  #configuration(one) {
    return this.data.configurations[one.configuration];
  }

  #scales() {
    const x = logScale(this.curves.flatMap((one) => one[this.axis]), this.box.left + 4, this.box.width - this.box.right - 4);
    // Few seeds have intervals as wide as the chart: the means decide the axis, and intervals end at its ends.
    const all = this.curves.flatMap((one) => one.mean);
    const [low, high] = [Math.floor(Math.min(...all) * 20 - 1) / 20, Math.ceil(Math.max(...all) * 20 + 1) / 20].map((one) => clamp(one, 0, 1));
    const tall = this.box.height - this.box.bottom - this.box.top;
    const y = (value) => this.box.height - this.box.bottom - ((clamp(value, low, high) - low) / (high - low || 1)) * tall;
    const step = [0.05, 0.1, 0.2].find((one) => (high - low) / one <= 6) ?? 0.2;
    y.ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, index) => low + index * step).filter((value) => value <= high + 1e-9);
    return [x, y];
  }

  #points(one, x, y) {
    const range = (row) => (one.n > 1 ? { low: y(one.low[row]), high: y(one.high[row]) } : {});
    return one.mean.map((value, row) => ({ x: x(one[this.axis][row]), y: y(value), ...range(row) }));
  }

  #listen(drawing, x, y) {
    const go = (curve, row) => this.#move(clamp(curve, 0, this.curves.length - 1), row, x, y);
    drawing.addEventListener("pointermove", (event) => {
      const box = drawing.getBoundingClientRect();
      const [across, down] = [event.clientX - box.left, event.clientY - box.top].map((one) => (one / box.width) * this.box.width);
      let best = [Infinity, 0, 0];
      this.curves.forEach((one, curve) => this.#points(one, x, y).forEach((point, row) => {
        const far = Math.hypot(point.x - across, point.y - down);
        if (far < best[0]) best = [far, curve, row];
      }));
      go(best[1], best[2]);
    });
    drawing.addEventListener("focus", () => go(0, this.curves[0].mean.length - 1));
    drawing.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!steps) return;
      event.preventDefault();
      go(this.cursor[0] + steps[0], this.cursor[1] + steps[1]);
    });
  }

  #move(place, wanted, x, y) {
    const one = this.curves[place];
    const row = clamp(wanted, 0, one.mean.length - 1);
    this.cursor = [place, row];
    const point = this.#points(one, x, y)[row];
    for (const [key, value] of [["cx", point.x], ["cy", point.y], ["visibility", "visible"]]) this.mark.setAttribute(key, value);
    const cost = ["samples", "seconds", "flops"].filter((axis) => one[axis][row] !== null).map((axis) => AXES[axis][1](one[axis][row]));
    const sure = one.n > 1 ? `95\u00a0% interval ${percent(one.low[row])} to ${percent(one.high[row])} over ${one.n} seeds` : "one seed";
    this.part("readout").textContent = `${this.#configuration(one).label}, after ${cost.join(", ")}: ${percent(one.mean[row])}\u00a0% (${sure}).`;
  }

  /** The last point of each curve in words. */
  #table() {
    const body = this.part("values");
    body.replaceChildren();
    for (const one of this.curves) {
      const { row } = namedRow(body, this.#configuration(one));
      html(row, "td", {}, short(one[this.axis].at(-1)));
      html(row, "td", {}, percent(one.mean.at(-1)));
    }
    this.part("cost").textContent = AXES[this.axis][0];
  }
}
