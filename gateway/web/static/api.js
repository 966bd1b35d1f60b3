// Requests with the reader's token, and the stream of server-sent events.
//
// EventSource cannot send a token, so the stream is read with fetch: it goes on from the last place it was told
// (Last-Event-ID) and so loses and repeats nothing.

const PREFIX = "/api/v1";
const SILENT_MS = 40_000; // the server says something at least every 15 s

export let token = sessionStorage.getItem("token") ?? "";

export function setToken(value) {
  token = value;
  if (value) sessionStorage.setItem("token", value);
  else sessionStorage.removeItem("token");
}

function headers(more = {}) {
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** Asks the API; returns the parsed answer. */
export async function ask(path, method = "GET") {
  const answer = await request(path, method);
  return answer.json();
}

/** Saves what the API answers as a file. */
export async function save(path) {
  const answer = await request(path);
  const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? "transcript";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function request(path, method = "GET") {
  const answer = await fetch(PREFIX + path, { method, headers: headers(), cache: "no-store" });
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    throw new Refused(answer.status, typeof body.detail === "string" ? body.detail : answer.statusText);
  }
  return answer;
}

/** Follows all calls for ever. `on` has snapshot(data), call(event, place), levels(data), state("on" | "off" | "refused"). */
export class Stream {
  constructor(on) {
    this.on = on;
    this.last = "";
    this.wait = 250;
    this.run = 0;
  }

  /** Begins, or begins again with another token. */
  start() {
    this.run += 1;
    this.abort?.abort();
    this.last = "";
    this.loop(this.run);
  }

  async loop(run) {
    while (run === this.run) {
      try {
        await this.read(run);
      } catch (error) {
        if (run !== this.run) return;
        if (error instanceof Refused && (error.status === 401 || error.status === 403)) {
          this.on.state("refused");
          return;
        }
      }
      if (run !== this.run) return;
      this.on.state("off");
      await new Promise((done) => setTimeout(done, this.wait * (0.5 + Math.random())));
      this.wait = Math.min(this.wait * 2, 5000);
    }
  }

  async read(run) {
    const abort = (this.abort = new AbortController());
    let timer = setTimeout(() => abort.abort(), SILENT_MS);
    try {
      const more = this.last ? { "Last-Event-ID": this.last } : {};
      const answer = await fetch(`${PREFIX}/stream`, { headers: headers(more), signal: abort.signal, cache: "no-store" });
      if (!answer.ok) throw new Refused(answer.status, answer.statusText);
      this.on.state("on");
      this.wait = 250;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done || run !== this.run) return;
        clearTimeout(timer);
        timer = setTimeout(() => abort.abort(), SILENT_MS);
        const parts = (rest + value).split("\n\n");
        rest = parts.pop(); // what is not whole yet was not heard, should the connection be cut here
        for (const part of parts) this.take(part);
      }
    } finally {
      clearTimeout(timer);
      abort.abort();
    }
  }

  take(part) {
    let kind = "", data = "", place = "";
    for (const line of part.split("\n")) {
      if (line.startsWith("data: ")) data = line.slice(6);
      else if (line.startsWith("event: ")) kind = line.slice(7);
      else if (line.startsWith("id: ")) place = line.slice(4);
    }
    if (place) this.last = place;
    if (kind === "call") this.on.call(JSON.parse(data), place);
    else if (kind === "snapshot") this.on.snapshot(JSON.parse(data));
    else if (kind === "levels") this.on.levels(JSON.parse(data));
  }
}
