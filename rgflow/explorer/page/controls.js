// The controls: what can be chosen comes from the server; here it becomes menus, sliders and boxes for exact numbers.

import { shown } from "./scale.js";

const RATES = new Set(["lambda_W", "lambda_b", "lambda_V", "lambda_a", "lambda_P"]);
const STEPS = 400;
export const byId = (id) => document.getElementById(id);

// "C_W" as C with a low W, "K^(1)" with a high (1)
function lettered(label) {
  const found = document.createElement("span");
  const parts = /^([^_^]+)([_^])(.+)$/.exec(label);
  if (!parts) { found.textContent = label; return found; }
  const letter = document.createElement("i");
  letter.textContent = parts[1];
  const mark = document.createElement(parts[2] === "_" ? "sub" : "sup");
  mark.textContent = parts[3];
  found.append(letter, mark);
  return found;
}

class Slider {
  constructor(field, parent, changed) {
    this.field = field;
    const box = document.createElement("div");
    box.className = "field slider";
    const label = document.createElement("label");
    label.htmlFor = field.name;
    label.title = field.says;
    label.append(lettered(field.label));
    this.number = document.createElement("input");
    Object.assign(this.number, { id: `${field.name}-number`, type: "number", className: "value", step: field.whole ? 1 : "any", min: field.least, max: field.most });
    this.number.setAttribute("aria-label", `${field.says}, as a number`);
    this.range = document.createElement("input");
    Object.assign(this.range, { id: field.name, type: "range", min: 0, max: STEPS, step: 1 });
    this.range.setAttribute("aria-label", `${field.label}: ${field.says}`);
    this.problem = document.createElement("p");
    this.problem.className = "problem";
    this.problem.hidden = true;
    box.append(label, this.number, this.range, this.problem);
    parent.append(box);
    this.box = box;
    this.range.addEventListener("input", () => { this.put(this.at(Number(this.range.value)), false); changed(field.name, this.value); });
    this.number.addEventListener("change", () => this.typed(changed));
  }

  typed(changed) {
    const value = Number(this.number.value), { least, most, whole } = this.field;
    const wrong = this.number.value.trim() === "" || !(value >= least && value <= most) || (whole && !Number.isInteger(value));
    this.problem.hidden = !wrong;
    this.problem.textContent = wrong ? `${whole ? "a whole number " : ""}between ${shown(least)} and ${shown(most)}` : "";
    this.number.setAttribute("aria-invalid", wrong);
    if (wrong) return;
    this.put(value);
    changed(this.field.name, this.value);
  }

  at(step) {
    const { low, high, scale, whole } = this.field;
    const t = step / STEPS;
    const value = scale === "log" ? low * (high / low) ** t : low + t * (high - low);
    return whole ? Math.round(value) : Number(value.toPrecision(3));
  }

  put(value, slide = true) {
    this.value = value;
    const { low, high, scale } = this.field;
    const t = scale === "log" ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    if (slide) this.range.value = Math.round(Math.min(1, Math.max(0, t)) * STEPS);
    this.range.setAttribute("aria-valuetext", shown(value));
    this.number.value = Number(value.toPrecision(6));
    this.problem.hidden = true;
    this.number.setAttribute("aria-invalid", "false");
  }
}

export class Controls {
  constructor(choices, changed) {
    this.choices = choices;
    this.changed = changed;
    this.sliders = {};
    this.remembered = {}; // numbers of fields that another kind of layer has not
    for (const field of Object.values(choices.fields)) {
      this.sliders[field.name] = new Slider(field, byId(RATES.has(field.name) ? "rates" : "numbers"), (name, value) => this.moved(name, value));
    }
    for (const one of choices.activations) byId("activation").append(new Option(one.name, one.name));
    byId("activation").append(new Option("own formula …", ""));
    for (const one of choices.layers) byId("layer").append(new Option(one.title, one.name));
    byId("activation").addEventListener("change", () => this.chosen());
    byId("formula").addEventListener("input", () => { clearTimeout(this.typing); this.typing = setTimeout(() => this.chosen(), 250); });
    byId("layer").addEventListener("change", () => { this.layers(byId("layer").value); this.changed("layer"); });
    byId("place").addEventListener("change", () => this.changed("place"));
  }

  get kind() { return this.choices.layers.find((one) => one.name === byId("layer").value); }

  chosen() {
    const own = byId("activation").value === "";
    byId("own").hidden = !own;
    this.describe();
    if (own && !byId("formula").value.trim()) { byId("formula").value = byId("formula").placeholder; }
    this.changed("activation");
  }

  describe() {
    const one = this.choices.activations.find((each) => each.name === byId("activation").value);
    byId("activation-says").textContent = one ? (one.formula === `${one.name}(z)` ? one.says : `${one.formula}: ${one.says}`) : "";
    byId("layer-says").textContent = this.kind.says;
  }

  // Which numbers a kind of layer has, with what they were when it was last chosen.
  layers(name) {
    const kind = this.choices.layers.find((one) => one.name === name);
    for (const [field, slider] of Object.entries(this.sliders)) {
      const own = kind.fields.includes(field);
      if (own && slider.box.hidden) slider.put(this.remembered[field] ?? kind.defaults[field]);
      if (!own && !slider.box.hidden) this.remembered[field] = slider.value;
      slider.box.hidden = !own;
    }
    byId("place-field").hidden = !kind.places.length;
    this.describe();
    this.reach("layer");
  }

  moved(name, value) {
    this.reach(name);
    this.changed(name, value);
  }

  // The first kernel is C_b + C_W x·x/n: it cannot be below C_b, nor differ from it without weights.
  reach(name) {
    const { C_b, C_W, first_kernel: first } = this.sliders;
    if (!C_b.box.hidden && first.value < C_b.value) name === "first_kernel" ? C_b.put(first.value) : first.put(C_b.value);
    if (!C_W.box.hidden && C_W.value === 0) C_W.put(0.01);
  }

  // The state that stands here, as the server reads it.
  state() {
    const found = { activation: byId("activation").value || byId("formula").value.trim(), layer: byId("layer").value };
    if (this.kind.places.length) found.place = byId("place").value;
    for (const name of this.kind.fields) found[name] = this.sliders[name].value;
    return found;
  }

  put(state) {
    const known = this.choices.activations.some((one) => one.name === state.activation);
    byId("activation").value = known ? state.activation : "";
    byId("own").hidden = known;
    if (!known) byId("formula").value = state.activation;
    byId("layer").value = state.layer;
    if (state.place) byId("place").value = state.place;
    for (const slider of Object.values(this.sliders)) slider.box.hidden = true;
    for (const [name, slider] of Object.entries(this.sliders)) if (name in state) this.remembered[name] = state[name];
    this.layers(state.layer);
    for (const [name, slider] of Object.entries(this.sliders)) if (name in state) slider.put(state[name]);
  }

  set(numbers) {
    for (const [name, value] of Object.entries(numbers)) this.sliders[name]?.put(value);
  }

  problem(text, field) {
    const here = field === "activation" && text;
    byId("formula-problem").hidden = !here;
    byId("formula-problem").textContent = here ? text : "";
    byId("formula").setAttribute("aria-invalid", Boolean(here));
  }

  // Kinds whose law holds for odd activations only can be chosen for these.
  odd(isOdd) {
    for (const option of byId("layer").options) {
      const kind = this.choices.layers.find((one) => one.name === option.value);
      option.disabled = kind.odd && !isOdd;
      option.textContent = kind.title + (option.disabled ? " (odd σ only)" : "");
    }
  }
}
