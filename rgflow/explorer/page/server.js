// Talking to the server: objects in, objects out; long tasks come as lines of JSON and end when they are aborted.

export async function ask(address, body, signal) {
  const response = await fetch(address, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  const found = await response.json();
  return found.error ? { problem: found.error } : found;
}

export async function task(body, signal, progress = () => {}) {
  const response = await fetch("/api/task", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.headers.get("content-type").startsWith("application/x-ndjson")) {
    const found = await response.json();
    return { problem: found.problem ?? found.error };
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return { problem: "the server ended before the answer came" };
    rest += value;
    const lines = rest.split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const found = JSON.parse(line);
      if (found.done !== undefined || found.problem) return found;
      progress(found.progress);
    }
  }
}

// A task of which only the newest counts: asked when nothing has changed for a while, aborting the one before.
export class Latest {
  constructor(wait) { this.wait = wait; this.number = 0; }
  cancel() {
    clearTimeout(this.timer);
    this.begin = null;
    this.abort?.abort();
    this.abort = null;
    this.number++;
  }
  // Another change came: what has not begun yet waits on.
  postpone() {
    if (this.begin) this.schedule();
  }
  schedule() {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.begin, this.wait);
  }
  start(run, then) {
    this.cancel();
    const number = this.number;
    this.begin = async () => {
      this.begin = null;
      this.abort = new AbortController();
      try {
        const found = await run(this.abort.signal);
        if (number === this.number) then(found);
      } catch (error) {
        if (number === this.number && error.name !== "AbortError") then({ problem: "the server does not answer; is rgflow explore still running?" });
      }
    };
    this.schedule();
  }
}

export async function download(body) {
  const response = await fetch("/api/export", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.headers.get("content-type").startsWith("application/json")) {
    const found = await response.json();
    return found.problem ?? found.error;
  }
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition"))[1];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return "";
}
