// The phase diagram: colours on a canvas, the critical line and the network's own place above it.

import { element } from "./chart.js";
import { linear, shown, ticks } from "./scale.js";

const LEFT = 52, RIGHT = 12, TOP = 10, BOTTOM = 34;
const LIGHT = ["#542788", "#8073ac", "#b2abd2", "#d8daeb", "#f7f7f7", "#fee0b6", "#fdb863", "#e08214", "#b35806"];
const DARK = ["#b9a5e6", "#8f7cc4", "#5f5490", "#38365a", "#1f2125", "#4a3a22", "#7d5620", "#bd7a22", "#f2a952"];

export class Phase {
  constructor(figure, go) {
    this.box = figure.querySelector(".chart");
    this.go = go;
    this.canvas = document.createElement("canvas");
    this.box.append(this.canvas);
    this.svg = element("svg", { tabindex: 0, role: "img" });
    this.box.append(this.svg);
    this.axes = element("g", {}, this.svg);
    this.lines = element("g", {}, this.svg);
    this.marker = element("g", {}, this.svg);
    this.halo = element("circle", { r: 8.5, fill: "none", "stroke-width": 5 }, this.marker);
    this.ring = element("circle", { r: 8.5, fill: "none", "stroke-width": 2.2 }, this.marker);
    this.halo.style.stroke = "var(--card)";
    this.ring.style.stroke = "var(--critical)";
    this.note = document.createElement("p");
    this.note.className = "note";
    this.box.append(this.note);
    this.data = null;
    this.place = null;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => this.paint());
    new ResizeObserver(() => this.paint()).observe(this.box);
    this.svg.addEventListener("pointerdown", (event) => this.drag(event, true));
    this.svg.addEventListener("pointermove", (event) => event.buttons === 1 && this.drag(event, false));
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  set(data) {
    this.data = data && data.shade ? data : null;
    this.said = data?.note ?? "";
    this.paint();
  }

  // Everything but the marker: when the diagram, the size or the light changes.
  paint() {
    const width = (this.width = Math.max(this.box.clientWidth, 160));
    const height = (this.height = Math.max(this.box.clientHeight, 120));
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.axes.replaceChildren();
    this.lines.replaceChildren();
    this.canvas.hidden = this.marker.style.display = "none";
    this.canvas.hidden = !this.data;
    this.note.textContent = this.said ?? "";
    this.note.hidden = !this.said;
    this.note.classList.toggle("low", Boolean(this.data));
    if (!this.data) return;
    const { C_W, C_b } = this.data;
    const bottom = height - BOTTOM, right = width - RIGHT;
    this.x = linear(C_W[0], C_W[1], LEFT, right);
    this.y = linear(C_b[0], C_b[1], bottom, TOP);
    this.colours(bottom, right);
    for (const value of ticks(C_W[0], C_W[1], 5)) this.text(shown(value, 3), this.x(value), bottom + 16, "middle");
    for (const value of ticks(C_b[0], C_b[1], 4)) this.text(shown(value, 3), LEFT - 7, this.y(value) + 4, "end");
    this.text("C_W", (LEFT + right) / 2, bottom + 31, "middle");
    this.text("C_b", 11, (TOP + bottom) / 2, "middle");
    element("path", { class: "frame", d: `M${LEFT} ${TOP}V${bottom}H${right}V${TOP}Z` }, this.axes);
    this.critical();
    this.move(this.place);
  }

  text(text, x, y, anchor) {
    const letter = /^(.)_(.)$/.exec(text);
    const found = element("text", { x, y, "text-anchor": anchor, class: letter ? "axis" : "" }, this.axes);
    if (!letter) { found.textContent = text; return; }
    found.append(letter[1]);
    const low = element("tspan", { dy: 3, "font-size": 9.5 }, found);
    low.textContent = letter[2];
  }

  colours(bottom, right) {
    const [rows, columns] = this.data.shape;
    const bytes = Uint8Array.from(atob(this.data.shade), (c) => c.charCodeAt(0));
    const table = colours(this.dark.matches ? DARK : LIGHT);
    Object.assign(this.canvas, { width: columns, height: rows });
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const colour = table[bytes[(rows - 1 - i) * columns + j]];
        image.data.set(colour, 4 * (i * columns + j));
      }
    }
    context.putImageData(image, 0, 0);
    Object.assign(this.canvas.style, { left: `${LEFT}px`, top: `${TOP}px`, width: `${right - LEFT}px`, height: `${bottom - TOP}px` });
  }

  critical() {
    let piece = [];
    const flush = () => {
      if (piece.length > 1) {
        const path = element("path", { fill: "none", "stroke-width": 2, d: `M${piece.map(([w, b]) => `${this.x(w).toFixed(1)} ${this.y(b).toFixed(1)}`).join("L")}` }, this.lines);
        path.style.stroke = "var(--critical)";
        if (!piece.at(-1)[2]) path.setAttribute("stroke-dasharray", "5 4");
      }
      piece = [];
    };
    for (const point of this.data.line) point[0] === null ? flush() : piece.push(point);
    flush();
    for (const point of this.data.points) {
      if (!this.inside(point.C_W, point.C_b)) continue;
      const dot = element("circle", { cx: this.x(point.C_W), cy: this.y(point.C_b), r: 4.5, "stroke-width": 1.6 }, this.lines);
      dot.style.fill = point.stable ? "var(--critical)" : "var(--card)";
      dot.style.stroke = "var(--critical)";
    }
    for (const [ordered, text] of [[true, "ordered"], [false, "chaotic"]]) {
      const place = this.middle(ordered);
      if (!place) continue;
      const found = element("text", { x: place[0], y: place[1] + 4, "text-anchor": "middle", class: "label halo" }, this.lines);
      found.textContent = text;
    }
  }

  // The point of a phase that is farthest from its border, unless there is no room for a word.
  middle(ordered) {
    const [rows, columns] = this.data.shape, bytes = atob(this.data.shade);
    const wide = this.width - RIGHT - LEFT, tall = this.height - BOTTOM - TOP;
    const own = [], others = [];
    for (let i = 0; i < rows; i += 4) {
      for (let j = 0; j < columns; j += 4) {
        const value = bytes.charCodeAt(i * columns + j);
        const point = [LEFT + (wide * j) / (columns - 1), TOP + tall - (tall * i) / (rows - 1)];
        (ordered ? value < 128 : value > 128) ? own.push(point) : others.push(point);
      }
    }
    let best = null, far = 0;
    for (const [x, y] of own) {
      let near = Math.min((x - LEFT) / 1.6, (LEFT + wide - x) / 1.6, y - TOP, TOP + tall - y);
      for (const [u, v] of others) near = Math.min(near, Math.hypot((x - u) / 1.6, y - v));
      if (near > far) { far = near; best = [x, y]; }
    }
    return far > 12 ? best : null;
  }

  inside(w, b) {
    const { C_W, C_b } = this.data;
    return w >= C_W[0] && w <= C_W[1] && b >= C_b[0] && b <= C_b[1];
  }

  // Where the network is: at the edge if it is beyond.
  move(place) {
    this.place = place;
    this.marker.style.display = this.data && place ? "inline" : "none";
    if (!this.data || !place) return;
    const { C_W, C_b } = this.data;
    const w = Math.min(C_W[1], Math.max(C_W[0], place.C_W)), b = Math.min(C_b[1], Math.max(C_b[0], place.C_b));
    this.marker.setAttribute("transform", `translate(${this.x(w)} ${this.y(b)})`);
    this.ring.setAttribute("stroke-dasharray", this.inside(place.C_W, place.C_b) ? "none" : "3 3");
    this.svg.setAttribute("aria-label", `Phase diagram. The network is at C_W = ${shown(place.C_W)}, C_b = ${shown(place.C_b)}: ${this.phase(w, b)}. Arrow keys move it.`);
  }

  phase(w, b) {
    const [rows, columns] = this.data.shape, { C_W, C_b } = this.data;
    const j = Math.round(((w - C_W[0]) / (C_W[1] - C_W[0])) * (columns - 1));
    const i = Math.round(((b - C_b[0]) / (C_b[1] - C_b[0])) * (rows - 1));
    const value = atob(this.data.shade).charCodeAt(i * columns + j);
    return value < 128 ? "ordered phase" : value > 128 ? "chaotic phase" : "critical";
  }

  drag(event, first) {
    if (!this.data) return;
    if (first) this.svg.setPointerCapture(event.pointerId);
    const box = this.svg.getBoundingClientRect();
    const { C_W, C_b } = this.data;
    const w = this.x.back(((event.clientX - box.left) * this.width) / box.width);
    const b = this.y.back(((event.clientY - box.top) * this.height) / box.height);
    this.go(Math.min(C_W[1], Math.max(C_W[0], w)), Math.min(C_b[1], Math.max(C_b[0], b)));
  }

  key(event) {
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step || !this.data || !this.place) return;
    event.preventDefault();
    const { C_W, C_b } = this.data, size = event.shiftKey ? 0.1 : 0.01;
    this.go(Math.max(0, this.place.C_W + step[0] * size * (C_W[1] - C_W[0])), Math.max(0, this.place.C_b + step[1] * size * (C_b[1] - C_b[0])));
  }
}

function colours(stops) {
  const rgb = stops.map((s) => [1, 3, 5].map((i) => parseInt(s.slice(i, i + 2), 16)));
  return Array.from({ length: 256 }, (_, k) => {
    const t = (k / 255) * (rgb.length - 1), i = Math.min(rgb.length - 2, Math.floor(t));
    return [...rgb[i].map((a, c) => Math.round(a + (t - i) * (rgb[i + 1][c] - a))), 255];
  });
}
