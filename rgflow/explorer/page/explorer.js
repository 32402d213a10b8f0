// The page: a change goes to the server, the newest answer to the panels; what takes longer follows by itself.

import { Chart } from "./chart.js";
import { byId, Controls } from "./controls.js";
import { draw } from "./panels.js";
import { Phase } from "./phase.js";
import { read } from "./reading.js";
import { sampling } from "./sampling.js";
import { ask, download, Latest, task } from "./server.js";

const root = document.documentElement;
const names = ["K", "V", "Theta", "chi", "trust"];
const at = (layer) => { for (const name of names) charts[name].show(layer); };
const charts = Object.fromEntries(names.map((name) => [name, new Chart(byId(`panel-${name}`), at)]));
const phase = new Phase(byId("panel-phase"), (w, b) => go({ C_W: Number(w.toPrecision(4)), C_b: Number(b.toPrecision(4)) }));
const first = new Latest(180), diagram = new Latest(150), reading = new Latest(250);
let controls, current = null, flying = false, waiting = false, asked = 0, diagramKey = "", readingKey = "", address = 0;
const sampled = sampling(() => current, () => draw(charts, current, sampled.points(current)));

const LEAD = byId("lead").textContent;
root.dataset.asked = root.dataset.drawn = 0;

// Changes ---------------------------------------------------------------------------------------------------------------

function changed() {
  root.dataset.asked = ++asked;
  for (const later of [first, diagram, reading]) later.postpone();
  phase.move({ C_W: controls.sliders.C_W.value, C_b: controls.sliders.C_b.box.hidden ? 0 : controls.sliders.C_b.value });
  if (flying) waiting = true;
  else send();
}

function go(numbers) {
  for (const name of Object.keys(numbers)) if (controls.sliders[name].box.hidden) delete numbers[name];
  controls.set(numbers);
  controls.reach("C_b");
  changed();
}

// One question is under way at a time; of those that come meanwhile the newest is asked next.
async function send() {
  flying = true;
  const mine = asked;
  let found;
  try {
    found = await ask("/api/answer", { state: controls.state() });
  } catch {
    found = { problem: "the server does not answer; is rgflow explore still running?" };
  }
  flying = false;
  if (waiting) { waiting = false; send(); }
  if (found.problem) refused(found);
  else render(found, mine);
  root.dataset.drawn = mine;
}

function refused(found) {
  first.cancel();
  controls.problem(found.problem, found.field);
  byId("banner").hidden = found.field === "activation";
  byId("banner").textContent = found.problem;
  byId("panels").classList.add("stale");
}

// Answers ---------------------------------------------------------------------------------------------------------------

function render(found, mine = asked) {
  if (!found) return;
  current = found;
  controls.problem("");
  byId("banner").hidden = true;
  byId("lead").classList.toggle("problem", Boolean(found.stopped));
  byId("lead").textContent = found.stopped || LEAD;
  byId("panels").classList.remove("stale");
  const { state } = found, kind = controls.kind;
  root.dataset.milliseconds = found.milliseconds;
  byId("title").textContent = `${state.activation}, ${state.depth} layers of width ${state.width}${state.layer === "dense" ? "" : `: ${kind.title}`}`;
  document.title = `${state.activation} · rgflow explorer`;
  draw(charts, found, sampled.points(found));
  sampled.refresh(found);
  phase.move({ C_W: state.C_W ?? 1, C_b: state.C_b ?? 0 });
  if (mine === asked) follow(found);
}

// What takes longer than a frame.
function follow(found) {
  const { state } = found;
  clearTimeout(address);
  address = setTimeout(() => { if (location.search.slice(1) !== found.query) history.replaceState(null, "", `?${found.query}`); }, 400);
  if (found.first_order === "later") {
    first.start((signal) => task({ task: "first_order", state }, signal), (more) => {
      if (more.problem) render({ ...found, first_order: "none", note: `the part 1/n is not known here: ${more.problem}` });
      else render({ ...found, ...more.done, first_order: "here" });
    });
  } else first.cancel();
  const place = JSON.stringify([state.activation, state.layer, state.skip, state.first_kernel]);
  if (place !== diagramKey) {
    const other = JSON.parse(diagramKey || "[]");
    if (other[0] !== state.activation || other[1] !== state.layer || other[2] !== state.skip) phase.set({ note: "finding fixed points …" });
    diagramKey = place;
    diagram.start((signal) => task({ task: "diagram", state }, signal), (more) => {
      phase.set(more.problem ? { note: more.problem } : more.done);
      phase.move({ C_W: state.C_W ?? 1, C_b: state.C_b ?? 0 });
    });
  }
  const text = JSON.stringify([state.activation, state.layer, state.place]);
  if (text !== readingKey) {
    readingKey = text;
    reading.start((signal) => task({ task: "reading", state }, signal), (more) => read(more.problem ? { problem: more.problem } : more.done));
  }
}

// Buttons ---------------------------------------------------------------------------------------------------------------

function buttons(choices, fresh) {
  byId("reset").addEventListener("click", () => { controls.put(fresh); byId("tune-says").textContent = ""; changed(); });
  byId("tune").addEventListener("click", async () => {
    const button = byId("tune");
    button.disabled = true;
    try {
      const { done, problem } = await task({ task: "tuned", state: controls.state() });
      byId("tune-says").textContent = problem ?? `${done.class}; ${done.says}`;
      if (done) { controls.set(done.numbers); controls.reach("C_b"); changed(); }
    } catch {
      byId("tune-says").textContent = "the server does not answer";
    }
    button.disabled = false;
  });
  byId("share").addEventListener("click", async () => {
    clearTimeout(address);
    if (current) history.replaceState(null, "", `?${current.query}`);
    try {
      await navigator.clipboard.writeText(location.href);
      byId("export-says").textContent = "The link is in the clipboard; it holds the whole state.";
    } catch {
      byId("export-says").textContent = "The address above holds the whole state; copy it.";
    }
  });
  for (const button of byId("exports").querySelectorAll("[data-kind]")) button.addEventListener("click", () => save(button));
}

async function save(button) {
  button.disabled = true;
  byId("export-says").textContent = "preparing …";
  const body = { kind: button.dataset.kind, state: current.state, ...sampled.drawn(current) };
  try {
    byId("export-says").textContent = await download(body);
  } catch {
    byId("export-says").textContent = "the server does not answer";
  }
  button.disabled = false;
}

// The start -------------------------------------------------------------------------------------------------------------

async function start() {
  const choices = await (await fetch("/api/choices")).json();
  const [opened, fresh] = [await ask("/api/open", { query: location.search }), (await ask("/api/open", { query: "" })).state];
  controls = new Controls(choices, changed);
  controls.put(opened.state ?? fresh);
  buttons(choices, fresh);
  await changed();
  if (opened.problem) {
    const tell = () => {
      byId("banner").hidden = false;
      byId("banner").textContent = `This address was refused: ${opened.problem}. What you see is the default.`;
    };
    const wait = () => (current ? tell() : setTimeout(wait, 20));
    wait();
  }
}

start().catch(() => {
  byId("banner").hidden = false;
  byId("banner").textContent = "The page could not be started; is rgflow explore still running?";
});
