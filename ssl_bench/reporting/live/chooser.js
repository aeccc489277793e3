// Which configurations are shown: one choice for all charts of a dataset, a list of check boxes beside each of them.

class Choice {
  constructor(configurations) {
    this.configurations = configurations;
    this.shown = new Set(configurations.keys());
    this.listeners = [];
  }

  /** Say why a chart that can show these configurations shows none: nothing is chosen, or nothing chosen is there. */
  explain(part, possible, isEmpty) {
    const isNobody = ![...possible].some((index) => this.shown.has(index));
    part("nobody").hidden = !isNobody;
    part("none").hidden = isNobody || !isEmpty;
  }

  /** Call whenever the choice changes. */
  follow(listener) {
    this.listeners.push(listener);
  }

  set(index, on) {
    if (on) this.shown.add(index);
    else this.shown.delete(index);
    for (const listener of this.listeners) listener();
  }

  /** Check boxes for those that a chart can show at all; each is the key to its line too. */
  boxes(parent, possible) {
    html(parent, "legend", {}, "Configurations");
    for (const [index, configuration] of this.configurations.entries()) {
      if (!possible.has(index)) continue;
      const label = html(parent, "label");
      const box = html(label, "input", { type: "checkbox" });
      box.checked = true;
      box.addEventListener("change", () => this.set(index, box.checked));
      this.follow(() => {
        box.checked = this.shown.has(index);
      });
      swatch(label, configuration);
      html(label, "span", {}, configuration.label);
    }
  }
}
