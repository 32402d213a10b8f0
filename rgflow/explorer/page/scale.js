// Numbers as people read them, ticks, and maps from numbers to pixels.

const SUPER = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

export const high = (text) => [...String(text)].map((c) => SUPER[c] ?? c).join("");

export function shown(x, digits = 4) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e5 || size < 1e-3) {
    const power = Math.floor(Math.log10(size) + 1e-12);
    const front = Number((x / 10 ** power).toPrecision(Math.max(2, digits - 1)));
    return `${front === 1 ? "" : front === -1 ? "−" : `${String(front).replace("-", "−")}·`}10${high(power)}`;
  }
  return String(Number(x.toPrecision(digits))).replace("-", "−");
}

export function linear(low, high_, from, to) {
  const k = (to - from) / (high_ - low || 1);
  const scale = (x) => from + (x - low) * k;
  scale.back = (p) => low + (p - from) / k;
  return scale;
}

export function logarithmic(low, high_, from, to) {
  const inner = linear(Math.log(low), Math.log(high_), from, to);
  const scale = (x) => (x > 0 ? inner(Math.log(x)) : NaN);
  scale.back = (p) => Math.exp(inner.back(p));
  return scale;
}

export function ticks(low, high_, about) {
  const raw = (high_ - low) / Math.max(1, about);
  const base = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * base).find((s) => s >= raw * 0.999) ?? base * 10;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high_ + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

export function decades(low, high_, about) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high_) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first + 1) / about));
  const found = [];
  for (let p = Math.ceil(first / every) * every; p <= last; p += every) found.push(10 ** p);
  if (found.length >= 2) return found;
  return [1, 2, 5].flatMap((k) => Array.from({ length: last - first + 3 }, (_, i) => k * 10 ** (first - 1 + i)))
    .filter((x) => x >= low * 0.999 && x <= high_ * 1.001).sort((a, b) => a - b);
}

export function layerTicks(depth, about) {
  if (depth <= about) return Array.from({ length: depth }, (_, i) => i + 1);
  const found = ticks(0, depth, about).filter((x) => Number.isInteger(x) && x > 0);
  return found.includes(1) || (found[0] ?? 9) < depth / 8 ? found : [1, ...found];
}
