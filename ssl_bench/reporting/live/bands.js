// Which band when: maps of all configurations on one axis of samples, and two cuts through them at a cursor.
// The cursor is a band and a snapshot; it is moved by the controls, by the pointer, and by arrow keys on a map.

const MAP = { width: 320, left: 62, right: 6, row: 15, top: 2, bottom: 34 };
const CUT = { width: 420, height: 230, left: 34, right: 10, top: 18, bottom: 34 };
const NAMES = { decodability: "R\u00b2", relative_error: "relative error" };

class Bands {
  constructor(root, data, choice) {
    Object.assign(this, { root, data, choice });
    this.part = (name) => root.querySelector(`[data-role="${name}"]`);
    this.basis = data.bases[0];
    this.quantity = "decodability";
    this.band = 0;
    this.samples = Infinity;
    this.possible = new Set(data.bases.flatMap((basis) => basis.curves.map((one) => one.configuration)));
    choice.boxes(this.part("chooser"), this.possible);
    this.#control();
    choice.follow(() => this.draw());
    this.draw();
  }

  #control() {
    const [basis, quantity, snapshot, band] = ["basis", "quantity", "snapshot", "band"].map(this.part);
    this.data.bases.forEach((one, index) => html(basis, "option", { value: index }, one.title));
    basis.addEventListener("change", () => {
      this.basis = this.data.bases[Number(basis.value)];
      this.band = 0;
      this.draw();
    });
    quantity.addEventListener("change", () => {
      this.quantity = quantity.value;
      this.draw();
    });
    snapshot.addEventListener("input", () => this.move(this.band, this.all[Number(snapshot.value)], null));
    band.addEventListener("change", () => this.move(Number(band.value), this.samples, null));
  }

  /** Draw all anew: another basis, quantity or choice. */
  draw() {
    this.curves = this.basis.curves.filter((one) => one.quantity === this.quantity && this.choice.shown.has(one.configuration));
    this.all = [...new Set(this.basis.curves.flatMap((one) => one.samples))].sort((a, b) => a - b);
    this.samples = this.#nearest(this.all, this.samples);
    this.part("snapshot").max = this.all.length - 1;
    const options = this.part("band");
    options.replaceChildren();
    this.basis.bands.forEach((text, index) => html(options, "option", { value: index }, `${text} (${this.basis.shares[index]}\u00a0%)`));
    this.choice.explain(this.part, this.possible, !this.curves.length);
    this.part("low").textContent = this.quantity === "decodability" ? "R\u00b2 0 or less" : "error 1 or more";
    this.part("high").textContent = this.quantity === "decodability" ? "1" : "0";
    this.part("maps").replaceChildren();
    this.cursors = this.curves.map((one) => this.#map(one));
    this.move(this.band, this.samples, null);
  }

  /** Put the cursor on a band and a number of samples; `curve` is the one pointed at, if any. */
  move(band, samples, curve) {
    this.band = clamp(band, 0, this.basis.bands.length - 1);
    this.samples = samples;
    this.part("band").value = String(this.band);
    const place = this.all.indexOf(this.#nearest(this.all, samples));
    const snapshot = this.part("snapshot");
    snapshot.value = String(place);
    snapshot.setAttribute("aria-valuetext", `after ${count(this.samples)} samples`);
    this.part("after").textContent = count(this.samples);
    for (const set of this.cursors) set();
    this.cut = fitting(CUT, this.part("profile"));
    this.#profile();
    this.#course();
    this.#table();
    if (curve) this.part("readout").textContent = this.#sentence(curve);
  }

  #nearest(list, samples) {
    return list.findLast((one) => one <= samples) ?? list[0];
  }

  /** In words, after how many samples a curve's value at the cursor is: its own, not the cursor's, where they differ. */
  #after(curve) {
    const own = this.#nearest(curve.samples, this.samples);
    const place = own === this.samples ? "" : own > this.samples ? ", its first" : own === curve.samples.at(-1) ? ", its last" : "";
    return `after ${count(own)} samples${place}`;
  }

  /** Value, lowest and highest of a curve at the snapshot the cursor is on, or the last one before it. */
  #at(curve, band, samples = this.samples) {
    const row = curve.samples.indexOf(this.#nearest(curve.samples, samples));
    return { mean: curve.mean[row][band], low: curve.low?.[row][band], high: curve.high?.[row][band] };
  }

  #configuration(curve) {
    return this.data.configurations[curve.configuration];
  }

  #sentence(curve) {
    const found = this.#at(curve, this.band);
    const seeds = found.low === undefined ? "one seed" : `${decimal(found.low)} to ${decimal(found.high)} over ${curve.n} seeds`;
    const where = `${this.#configuration(curve).label}, ${this.basis.unit} ${this.basis.bands[this.band]}`;
    return `${where}, ${this.#after(curve)}: ${NAMES[this.quantity]} ${decimal(found.mean)} (${seeds}).`;
  }

  /** One configuration's map; returns what moves its cursor. */
  #map(curve) {
    const configuration = this.#configuration(curve);
    const figure = html(this.part("maps"), "figure", { class: "card" });
    const caption = html(figure, "figcaption");
    swatch(caption, configuration);
    html(caption, "span", {}, configuration.label);
    html(caption, "small", {}, `${configuration.note}; ${curve.n === 1 ? "1 seed" : `${curve.n} seeds`}`);
    const bands = this.basis.bands.length;
    const bottom = MAP.top + MAP.row * bands;
    const x = logScale(this.all, MAP.left + 5, MAP.width - MAP.right - 8);
    const name = `${configuration.label}: ${NAMES[this.quantity]} by band and samples seen; arrow keys move the cursor`;
    const drawing = svg(figure, "svg", { viewBox: `0 0 ${MAP.width} ${bottom + MAP.bottom}`, role: "group", "aria-label": name, tabindex: 0, class: "map" });
    const borders = this.#borders(curve.samples.map(x), curve.samples[0] === this.all[0]);
    curve.mean.forEach((values, row) => values.forEach((value, band) => {
      const learned = this.quantity === "decodability" ? value : 1 - value;
      const fill = value === null ? "var(--soft)" : `var(--h${Math.round(clamp(learned, 0, 1) * (this.data.levels - 1))})`;
      const wide = borders[row + 1] - borders[row] + 0.4;
      svg(drawing, "rect", { x: borders[row].toFixed(2), y: MAP.top + band * MAP.row, width: wide.toFixed(2), height: MAP.row + 0.4, fill });
    }));
    this.basis.bands.forEach((text, band) => svg(drawing, "text", { class: "tick", x: MAP.left - 5, y: MAP.top + band * MAP.row + 11, "text-anchor": "end" }, text));
    for (const tick of x.ticks) svg(drawing, "text", { class: "tick", x: x(tick), y: bottom + 13, "text-anchor": "middle" }, short(tick));
    svg(drawing, "text", { class: "name", x: (MAP.left + MAP.width) / 2, y: bottom + 28, "text-anchor": "middle" }, "samples seen");
    // Twice, so that it is seen on dark and on light cells.
    const marks = ["halo", "cursor"].map((look) => [
      svg(drawing, "line", { class: look, y1: MAP.top, y2: bottom }),
      svg(drawing, "rect", { class: look, x: MAP.left, width: MAP.width - MAP.right - MAP.left, height: MAP.row }),
    ]);
    this.#listen(drawing, curve, x, bands);
    return () => {
      for (const [time, row] of marks) {
        row.setAttribute("y", MAP.top + this.band * MAP.row);
        time.setAttribute("x1", x(this.samples));
        time.setAttribute("x2", x(this.samples));
      }
    };
  }

  /** Borders of a map's cells, halfway between snapshots; the outer ones end with what was seen. */
  #borders(places, fromStart) {
    const [left, right] = [MAP.left, MAP.width - MAP.right];
    if (places.length === 1) return [left, right];
    const inner = places.slice(1).map((place, index) => (places[index] + place) / 2);
    return [fromStart ? left : places[0], ...inner, Math.min(2 * places.at(-1) - inner.at(-1), right)];
  }

  #listen(drawing, curve, x, bands) {
    const point = (event) => {
      const box = drawing.getBoundingClientRect();
      const across = ((event.clientX - box.left) / box.width) * MAP.width;
      const down = (((event.clientY - box.top) / box.width) * MAP.width - MAP.top) / MAP.row;
      if (across < MAP.left || down < 0 || down >= bands) return;
      const nearest = this.all.reduce((best, one) => (Math.abs(x(one) - across) < Math.abs(x(best) - across) ? one : best));
      this.move(Math.floor(down), nearest, curve);
    };
    drawing.addEventListener("pointermove", point);
    drawing.addEventListener("pointerdown", point);
    drawing.addEventListener("focus", () => this.move(this.band, this.samples, curve));
    drawing.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!steps) return;
      event.preventDefault();
      const place = clamp(this.all.indexOf(this.samples) + steps[1], 0, this.all.length - 1);
      this.move(this.band + steps[0], this.all[place], curve);
    });
  }

  /** The vertical axis of both cuts. */
  #vertical() {
    const error = this.quantity === "relative_error";
    const lowest = Math.min(0, ...this.curves.flatMap((one) => one.mean.flat()).filter((value) => value !== null));
    const [low, high] = error ? [0, 1.25] : [Math.max(lowest, -0.25), 1];
    const y = (value) => this.cut.height - this.cut.bottom - ((clamp(value, low, high) - low) / (high - low)) * (this.cut.height - this.cut.bottom - this.cut.top);
    return [y, (error ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1]).map((value) => [value, String(value)])];
  }

  /** All bands after so many samples. */
  #profile() {
    const host = this.part("profile");
    host.replaceChildren();
    const own = this.curves.some((one) => !one.samples.includes(this.samples)) ? " (or as many as the table says)" : "";
    html(host, "figcaption", {}, `All bands after ${count(this.samples)} samples${own}`);
    const [y, ticks] = this.#vertical();
    const step = (this.cut.width - this.cut.left - this.cut.right) / this.basis.bands.length;
    const x = (band) => this.cut.left + (band + 0.5) * step;
    const every = Math.ceil(this.basis.bands.length / 8);
    const below = this.basis.bands.map((text, band) => [band, text]).filter(([band]) => band % every === 0);
    const drawing = frame(host, this.cut, x, below, y, ticks, [this.basis.unit, NAMES[this.quantity]], host.firstChild.textContent);
    svg(drawing, "line", { class: "time", x1: x(this.band), x2: x(this.band), y1: this.cut.top, y2: this.cut.height - this.cut.bottom });
    for (const chance of new Set(this.curves.filter((one) => one.chance).map((one) => one.chance.map((value, band) => `${x(band).toFixed(1)},${y(value).toFixed(1)}`).join(" ")))) {
      svg(drawing, "polyline", { class: "chance", points: chance });
    }
    for (const one of this.curves) this.#line(drawing, one, this.basis.bands.map((_, band) => [x(band), this.#at(one, band)]), y);
  }

  /** One band through training. */
  #course() {
    const host = this.part("course");
    host.replaceChildren();
    html(host, "figcaption", {}, `${this.basis.unit} ${this.basis.bands[this.band]} through training`.replace(/^./, (letter) => letter.toUpperCase()));
    const [y, ticks] = this.#vertical();
    const x = logScale(this.all, this.cut.left + 4, this.cut.width - this.cut.right - 4);
    const below = x.ticks.map((tick) => [tick, short(tick)]);
    const drawing = frame(host, this.cut, x, below, y, ticks, ["samples seen", NAMES[this.quantity]], host.firstChild.textContent);
    svg(drawing, "line", { class: "time", x1: x(this.samples), x2: x(this.samples), y1: this.cut.top, y2: this.cut.height - this.cut.bottom });
    if (this.quantity === "relative_error") svg(drawing, "line", { class: "chance", x1: this.cut.left, x2: this.cut.width - this.cut.right, y1: y(0.5), y2: y(0.5) });
    for (const one of this.curves) {
      // What is never trained stays as it is.
      const at = one.samples.at(-1) === 0 ? [this.all[0], this.all.at(-1)] : one.samples;
      this.#line(drawing, one, at.map((samples) => [x(samples), this.#at(one, this.band, samples)]), y);
    }
  }

  #line(drawing, one, found, y) {
    const points = found.map(([x, { mean, low, high }]) => ({
      x, y: mean === null ? null : y(mean), ...(low === undefined || low === null ? {} : { low: y(low), high: y(high) }),
    }));
    trace(drawing, this.#configuration(one), points, false);
  }

  /** The same in words: the band at the cursor, a line a configuration. */
  #table() {
    this.part("where").textContent = `${this.basis.unit} ${this.basis.bands[this.band]}, after ${count(this.samples)} samples`;
    const body = this.part("values");
    body.replaceChildren();
    for (const one of this.curves) {
      const { row, name } = namedRow(body, this.#configuration(one));
      if (!one.samples.includes(this.samples)) html(name, "small", {}, this.#after(one));
      const found = this.#at(one, this.band);
      html(row, "td", {}, decimal(found.mean));
      html(row, "td", {}, found.low === undefined ? "one seed" : `${decimal(found.low)} to ${decimal(found.high)}`);
    }
  }
}
