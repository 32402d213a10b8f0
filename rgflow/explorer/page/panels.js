// What each panel shows of an answer.

const LEADING = "5 3";
const colour = (name) => `var(--${name})`;

export function draw(charts, found, points) {
  const depth = found.layers;
  kernel(charts.K, "K", "K", "Kernel K", found, points, depth);
  kernel(charts.Theta, "Theta", "Θ", "Neural tangent kernel", found, points, depth);
  vertex(charts.V, found, points, depth);
  susceptibilities(charts.chi, found, depth);
  trust(charts.trust, found, depth);
}

// The 1/n part: why it is not there, if it is not.
function missing(found) {
  if (found.first_order === "here") return "";
  return found.note || (found.stopped ? "the flow ends before its last layer" : "");
}

function kernel(chart, letter, name, title, found, points, depth) {
  const here = found.first_order === "here";
  const total = here ? found[`${letter}_total`] : null;
  const lines = [{ y: found[letter], colour: colour(letter), dash: LEADING, width: 1.5, short: total ? "n→∞:" : name, spoken: `${name} at infinite width` }];
  if (total) lines.unshift({ y: total, colour: colour(letter), short: name, spoken: `${name} at this width` });
  chart.draw({
    title, depth, lines,
    bands: total ? [{ y: total, error: found[`${letter}_error`], colour: colour(letter) }] : [],
    points: points[letter] ?? [],
    beyond: here ? found.trusted[letter] : null,
    zero: true,
  });
}

function vertex(chart, found, points, depth) {
  const here = found.first_order === "here";
  const sampled = points.V ?? [];
  chart.draw({
    title: "Four-point vertex over n K squared", depth,
    lines: here ? [{ y: found.V.slice(1), first: 2, colour: colour("V"), short: "V/(nK²)", spoken: "V over n K squared" }] : [],
    bands: here ? [{ y: found.V.slice(1), error: found.V_error.slice(1), first: 2, colour: colour("V") }] : [],
    points: sampled,
    beyond: here ? found.trusted.V : null,
    zero: true,
    note: sampled.length ? "" : missing(found),
  });
}

function susceptibilities(chart, found, depth) {
  const both = found.chi_parallel.length ? Math.abs(found.chi_parallel.at(-1) - found.chi_perpendicular.at(-1)) : 0;
  const below = found.chi_parallel.at(-1) < found.chi_perpendicular.at(-1);
  const close = both < 1e-9;
  chart.draw({
    title: "Susceptibilities", depth,
    lines: [
      { y: found.chi_parallel, colour: colour("par"), width: 2, name: close ? "" : "χ∥", short: "χ∥", spoken: "chi parallel", below, at: 0.85 },
      { y: found.chi_perpendicular, colour: colour("perp"), width: 2, dash: close ? "6 5" : "none", name: close ? "χ∥ = χ⊥" : "χ⊥", short: "χ⊥", spoken: "chi perpendicular", below: !below && !close, at: 0.85 },
    ],
    reference: [1],
  });
}

function trust(chart, found, depth) {
  const here = found.first_order === "here";
  const letters = here ? ["K", "V", "Theta"].filter((letter) => letter in found.ratio) : [];
  const trusted = here ? Math.min(...letters.map((letter) => found.trusted[letter])) : null;
  // letters that share a ratio, as K and V often do, are one line
  const shownBy = new Map();
  for (const letter of letters) {
    const text = JSON.stringify(found.ratio[letter]);
    shownBy.set(text, [...(shownBy.get(text) ?? []), letter]);
  }
  const name = (group) => group.map((letter) => (letter === "Theta" ? "Θ" : letter)).join(", ");
  chart.draw({
    title: "Expansion ratio", depth,
    lines: [...shownBy.values()].map((group) => ({ y: found.ratio[group[0]].slice(1), first: 2, colour: colour(group.at(-1)), name: name(group), short: name(group), spoken: `ratio of ${name(group)}`, at: 0.8 })),
    reference: here ? [0.5] : [],
    beyond: trusted,
    log: "always",
    low: false,
    note: here ? (letters.every((letter) => found.ratio[letter].every((value) => !value)) ? "nothing fluctuates: every network is alike" : "") : missing(found),
  });
}
