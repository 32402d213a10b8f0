// One panel: lines against depth in SVG, drawn anew in a millisecond or two. Elements are kept, only what they show changes.

import { decades, layerTicks, linear, logarithmic, shown, ticks } from "./scale.js";

const NS = "http://www.w3.org/2000/svg";
const LEFT = 52, RIGHT = 12, TOP = 22, BOTTOM = 34;
let count = 0;

export function element(name, attributes = {}, parent = null) {
  const found = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  parent?.append(found);
  return found;
}

// Equal elements in a layer of their own, which grows and never shrinks; those not needed are hidden.
class Pool {
  constructor(name, className, parent) { Object.assign(this, { name, className, parent: element("g", {}, parent), all: [], used: 0 }); }
  next() {
    const found = this.all[this.used] ?? (this.all[this.used] = element(this.name, { class: this.className }, this.parent));
    found.removeAttribute("display");
    this.used++;
    return found;
  }
  begin() { this.used = 0; }
  end() { for (let i = this.used; i < this.all.length; i++) this.all[i].setAttribute("display", "none"); }
}

export class Chart {
  constructor(figure, listen = () => {}) {
    this.figure = figure;
    this.box = figure.querySelector(".chart");
    this.listen = listen;
    this.svg = element("svg", { tabindex: 0, role: "img" });
    this.box.append(this.svg);
    this.clip = `clip-${++count}`;
    const defs = element("defs", {}, this.svg);
    this.frameRect = element("rect", {}, element("clipPath", { id: this.clip }, defs));
    const hatch = element("pattern", { id: `${this.clip}-hatch`, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, defs);
    element("rect", { width: 7, height: 7, class: "beyond" }, hatch);
    element("path", { d: "M0 0V7", class: "frame" }, hatch);
    this.beyond = element("rect", { fill: `url(#${this.clip}-hatch)` }, this.svg);
    this.grids = new Pool("path", "grid", this.svg);
    this.inside = element("g", { class: "inside", "clip-path": `url(#${this.clip})` }, this.svg);
    this.bands = new Pool("path", "", this.inside);
    this.references = new Pool("path", "cross", this.inside);
    this.lines = new Pool("path", "", this.inside);
    this.bars = new Pool("path", "bar", this.inside);
    this.dots = new Pool("circle", "dot", this.inside);
    this.frame = element("path", { class: "frame" }, this.svg);
    this.texts = new Pool("text", "", this.svg);
    this.labels = new Pool("text", "label", this.svg);
    this.cross = element("path", { class: "cross", display: "none" }, this.svg);
    this.readout = element("text", { class: "readout", display: "none" }, this.svg);
    this.note = document.createElement("p");
    this.note.className = "note";
    this.note.hidden = true;
    this.box.append(this.note);
    this.content = null;
    this.at = null;
    this.size();
    new ResizeObserver(() => { this.size(); if (this.content) this.draw(this.content); }).observe(this.box);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.listen(null));
    this.svg.addEventListener("blur", () => this.listen(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  size() {
    const { clientWidth, clientHeight } = this.box;
    this.width = Math.max(clientWidth, 160);
    this.height = Math.max(clientHeight, 120);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
  }

  // content: {depth, lines: [{y, colour, dash, width, first, name}], bands: [{y, error, colour, first}], points: [{y, se, colour, first}],
  //           beyond, reference, log: "auto" | "always" | "never", floor, title, note}
  draw(content) {
    this.content = content;
    const { depth } = content;
    const x = linear(1, Math.max(depth, 2), LEFT, this.width - RIGHT);
    const range = limits(content);
    const bottom = this.height - BOTTOM;
    const y = (range.log ? logarithmic : linear)(range.low, range.high, bottom, TOP);
    this.x = x;
    this.y = y;
    for (const name of ["width", "height", "x", "y"]) {
      this.frameRect.setAttribute(name, { x: LEFT, y: TOP - 4, width: this.width - RIGHT - LEFT + 1, height: bottom - TOP + 5 }[name]);
    }
    this.axes(x, y, range, depth, bottom);
    this.region(content, x, bottom);
    for (const pool of [this.bands, this.lines, this.references, this.bars, this.dots, this.labels]) pool.begin();
    for (const band of content.bands ?? []) {
      const path = this.bands.next();
      path.setAttribute("d", area(band, x, y, range));
      path.style.fill = band.colour;
      path.style.opacity = 0.17;
    }
    for (const value of content.reference ?? []) this.references.next().setAttribute("d", `M${LEFT} ${y(value)}H${this.width - RIGHT}`);
    for (const line of content.lines) {
      const path = this.lines.next();
      path.setAttribute("d", trace(line, x, y));
      path.style.stroke = line.colour;
      path.style.fill = "none";
      path.style.strokeWidth = line.width ?? 2;
      path.style.strokeDasharray = line.dash ?? "none";
      if (line.name) this.label(line, x, y);
    }
    for (const points of content.points ?? []) this.errors(points, x, y);
    for (const pool of [this.bands, this.lines, this.references, this.bars, this.dots, this.labels]) pool.end();
    this.say(content.note ?? "", Boolean(content.low));
    this.svg.setAttribute("aria-label", spoken(content));
    this.show(this.at);
  }

  axes(x, y, range, depth, bottom) {
    this.grids.begin();
    this.texts.begin();
    const right = this.width - RIGHT;
    const across = range.empty ? [] : range.log ? decades(range.low, range.high, 5) : ticks(range.low, range.high, 4.5);
    for (const value of across) {
      this.grids.next().setAttribute("d", `M${LEFT} ${y(value)}H${right}`);
      this.write(shown(value, 3), LEFT - 7, y(value) + 4, "end");
    }
    for (const layer of layerTicks(depth, Math.max(3, (right - LEFT) / 46))) {
      this.grids.next().setAttribute("d", `M${x(layer)} ${TOP}V${bottom}`);
      this.write(layer, x(layer), bottom + 16, "middle");
    }
    this.write("layer ℓ", (LEFT + right) / 2, bottom + 31, "middle", "axis");
    this.frame.setAttribute("d", `M${LEFT} ${TOP}V${bottom}H${right}`);
    this.grids.end();
    this.texts.end();
  }

  write(text, x, y, anchor, className = "") {
    const found = this.texts.next();
    if (found.textContent !== String(text)) found.textContent = text;
    found.setAttribute("x", x);
    found.setAttribute("y", y);
    found.setAttribute("text-anchor", anchor);
    found.setAttribute("class", className);
  }

  region(content, x, bottom) {
    const { beyond, depth } = content;
    const from = beyond === null || beyond === undefined || beyond >= depth ? null : Math.max(LEFT, x(beyond + 0.5));
    this.beyond.setAttribute("display", from === null ? "none" : "inline");
    if (from === null) return;
    this.beyond.setAttribute("x", from);
    this.beyond.setAttribute("y", TOP);
    this.beyond.setAttribute("width", Math.max(0, this.width - RIGHT - from));
    this.beyond.setAttribute("height", bottom - TOP);
  }

  label(line, x, y) {
    const place = line.at ?? 0.7;
    const last = Math.min(line.y.length - 1, Math.round(place * (line.y.length - 1)));
    if (last < 0 || line.y[last] === null) return;
    const found = this.labels.next();
    if (found.textContent !== line.name) found.textContent = line.name;
    found.setAttribute("x", x((line.first ?? 1) + last));
    const high_ = y(line.y[last]);
    found.setAttribute("y", Number.isFinite(high_) ? Math.max(TOP + 10, Math.min(this.height - BOTTOM - 4, high_ + (line.below ? 16 : -8))) : -99);
    found.setAttribute("text-anchor", "middle");
    found.style.fill = line.colour;
  }

  errors(points, x, y) {
    const every = Math.max(1, Math.ceil(points.y.length / 40));
    points.y.forEach((value, i) => {
      const error = points.se[i];
      if (value === null || !error || i % every) return;
      const px = x((points.first ?? 1) + i), py = y(value);
      if (!Number.isFinite(py)) return;
      const low = y(value - 2 * error), top = y(value + 2 * error);
      const bar = this.bars.next();
      bar.setAttribute("d", `M${px} ${Number.isFinite(low) ? low : this.height - BOTTOM}V${top}`);
      bar.style.stroke = points.colour;
      const dot = this.dots.next();
      dot.setAttribute("cx", px);
      dot.setAttribute("cy", py);
      dot.setAttribute("r", 3);
      dot.style.stroke = points.colour;
    });
  }

  say(text, low = false) {
    this.note.hidden = !text;
    this.note.classList.toggle("low", low);
    if (this.note.textContent !== text) this.note.textContent = text;
  }

  point(event) {
    if (!this.content) return;
    const box = this.svg.getBoundingClientRect();
    const layer = Math.round(this.x.back(((event.clientX - box.left) * this.width) / box.width));
    this.listen(layer >= 1 && layer <= this.content.depth ? layer : null);
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (!this.content || (step === undefined && event.key !== "Home" && event.key !== "End")) return;
    event.preventDefault();
    const depth = this.content.depth;
    const layer = event.key === "Home" ? 1 : event.key === "End" ? depth : (this.at ?? (step > 0 ? 0 : depth + 1)) + step;
    this.listen(Math.min(depth, Math.max(1, layer)));
  }

  // the values at one layer, the same in every panel
  show(layer) {
    this.at = layer;
    const visible = layer !== null && this.content && layer <= this.content.depth;
    for (const part of [this.cross, this.readout]) part.setAttribute("display", visible ? "inline" : "none");
    if (!visible) return;
    const px = this.x(layer);
    this.cross.setAttribute("d", `M${px} ${TOP}V${this.height - BOTTOM}`);
    const said = this.content.lines.map((line) => [line.short ?? line.name ?? "", line.y[layer - (line.first ?? 1)]])
      .filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => `${name} ${shown(value)}`.trim());
    this.readout.textContent = `ℓ = ${layer}:  ${said.join("   ") || "–"}`;
    this.readout.setAttribute("x", this.width - RIGHT);
    this.readout.setAttribute("text-anchor", "end");
    this.readout.setAttribute("y", 12);
  }
}

function limits(content) {
  let low = Infinity, high_ = -Infinity, least = Infinity, positive = true;
  const see = (value) => {
    if (value === null || value === undefined || !Number.isFinite(value)) return;
    low = Math.min(low, value);
    high_ = Math.max(high_, value);
    if (value > 0) least = Math.min(least, value);
    else if (value < 0) positive = false;
  };
  for (const line of content.lines) line.y.forEach(see);
  for (const points of content.points ?? []) points.y.forEach((value, i) => points.se[i] && see(value));
  for (const value of content.reference ?? []) see(value);
  for (const value of content.least ?? []) see(value);
  if (low > high_) return { low: 0, high: 1, log: false, empty: true };
  const log = content.log === "always" ? positive && least < Infinity : content.log !== "never" && positive && low > 0 && high_ > 30 * low;
  if (log) {
    const from = Math.max(least, high_ * 1e-60);
    const room = Math.max((high_ / from) ** 0.06, 1.15);
    return { low: from / room, high: high_ * room, log };
  }
  if (content.zero && low > 0 && low < 0.6 * high_) low = 0;
  const spread = high_ - low;
  const room = spread > 1e-9 * Math.abs(high_) ? 0.08 * spread : Math.max(0.1 * Math.abs(high_), 1e-12);
  return { low: low === 0 && content.zero ? 0 : low - room, high: high_ + room, log: false };
}

function trace(line, x, y) {
  let path = "", down = false;
  const first = line.first ?? 1;
  line.y.forEach((value, i) => {
    const py = value === null ? NaN : y(value);
    if (!Number.isFinite(py)) { down = false; return; }
    path += `${down ? "L" : "M"}${x(first + i).toFixed(1)} ${Math.max(-4e3, Math.min(4e3, py)).toFixed(1)}`;
    down = true;
  });
  return path;
}

function area(band, x, y, range) {
  const first = band.first ?? 1, top = [], low = [];
  const limited = (py, other) => (Number.isFinite(py) ? Math.max(-4e3, Math.min(4e3, py)) : other);
  band.y.forEach((value, i) => {
    const error = band.error[i];
    if (value === null || value === undefined || error === undefined) return;
    const size = error === null ? Infinity : error;
    const px = x(first + i).toFixed(1);
    top.push(`${px} ${limited(size === Infinity ? NaN : y(value + size), -50).toFixed(1)}`);
    low.push(`${px} ${limited(size === Infinity || (range.log && value - size <= 0) ? NaN : y(value - size), 4e3).toFixed(1)}`);
  });
  return top.length ? `M${top.join("L")}L${low.reverse().join("L")}Z` : "";
}

function spoken(content) {
  const parts = content.lines.filter((line) => line.y.length).map((line) => {
    const first = line.first ?? 1;
    const last = line.y.length - 1;
    return `${line.spoken ?? line.short ?? line.name ?? "value"}: ${shown(line.y[0])} at layer ${first}, ${shown(line.y[last])} at layer ${first + last}`;
  });
  return `${content.title}. ${parts.join("; ")}. ${content.note ?? ""}`;
}
