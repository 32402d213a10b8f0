// The sampling check: real networks in the background, with a progress bar and a way to stop.

import { byId } from "./controls.js";
import { task } from "./server.js";

export function sampling(answer, redraw) {
  let found = null, query = "", abort = null;
  const says = (text) => { byId("sample-says").textContent = text; };
  const range = byId("networks"), number = byId("networks-number");
  range.addEventListener("input", () => { number.value = range.value; });
  number.addEventListener("change", () => {
    const value = Math.round(Number(number.value)) || 1000;
    number.value = Math.min(20000, Math.max(100, value));
    range.value = number.value;
  });

  const running = (on) => {
    byId("sample").hidden = on;
    byId("cancel").hidden = byId("progress").hidden = !on;
  };

  byId("cancel").addEventListener("click", () => abort?.abort());
  byId("sample").addEventListener("click", async () => {
    const current = answer();
    if (!current) return;
    abort = new AbortController();
    running(true);
    byId("progress").value = 0;
    says("drawing networks …");
    byId("cancel").focus();
    try {
      const body = { task: "sampled", state: current.state, networks: Number(number.value), seed: 0 };
      const { done, problem } = await task(body, abort.signal, (share) => { if (share !== null) byId("progress").value = share; });
      if (problem) says(problem);
      else {
        found = done;
        query = current.query;
        says(`${done.networks} networks, seed ${done.seed}: ${done.tensors.map((t) => (t === "Theta" ? "Θ" : t)).join(", ")}.`);
        redraw();
      }
    } catch {
      says(abort.signal.aborted ? "cancelled" : "the server does not answer");
    }
    running(false);
    byId("sample").focus();
  });

  const here = (current) => found && current && current.query === query;
  return {
    points(current) {
      if (!here(current)) return {};
      const one = (letter) => [{ y: found[letter], se: found[`${letter}_se`], colour: `var(--${letter})` }];
      return Object.fromEntries(found.tensors.map((letter) => [letter, one(letter)]));
    },
    refresh(current) {
      if (found && !abort?.running && !here(current) && byId("cancel").hidden) says("The networks were drawn for other settings; sample again.");
    },
    drawn: (current) => (here(current) ? { networks: found.networks, seed: found.seed } : {}),
  };
}
