// The recursions as MathML, which browsers draw themselves, and the source of the kernel.

import { byId } from "./controls.js";

const OPEN = new Set(["K", "Theta", "V"]);

export function read(found) {
  const box = byId("equations");
  const open = new Map([...box.querySelectorAll("details")].map((one) => [one.dataset.name, one.open]));
  if (found.problem) {
    const said = document.createElement("p");
    said.className = "empty";
    said.textContent = found.problem;
    box.replaceChildren(said);
    byId("source").textContent = "";
    return;
  }
  box.replaceChildren(...found.recursions.map((one) => equation(one, open)));
  byId("source").hidden = !found.source;
  byId("source").textContent = found.source;
  byId("source-says").textContent = found.source_note || "the program that the recursions become for this activation";
}

function equation(one, open) {
  const details = document.createElement("details");
  details.dataset.name = one.name;
  details.open = open.get(one.name) ?? OPEN.has(one.name);
  const summary = document.createElement("summary");
  const letter = document.createElement("b");
  letter.textContent = one.title;
  const says = document.createElement("span");
  says.textContent = one.says;
  summary.append(letter, says);
  details.append(summary);
  if (!one.mathml) {
    const note = document.createElement("p");
    note.className = "hint";
    note.textContent = one.note;
    details.append(note);
    return details;
  }
  const shown = document.createElement("div");
  shown.className = "equation";
  shown.tabIndex = 0;
  shown.setAttribute("role", "group");
  shown.setAttribute("aria-label", one.text);
  for (const line of one.mathml) {
    const parsed = new DOMParser().parseFromString(line, "text/html").body.firstElementChild;
    shown.append(document.importNode(parsed, true));
  }
  shown.classList.toggle("several", one.mathml.length > 1);
  details.append(shown);
  return details;
}
