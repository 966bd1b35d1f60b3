// One call: its two legs as a dialogue in time order, its timeline, its quality.

import { ask, save } from "./api.js";
import { apply, number } from "./fold.js";
import { clock, duration, hour, moment, t } from "./texts.js";

const POLL_MS = 2000;
const STEPS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600]; // seconds between the times of an axis
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

export function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

export function rows(table, head, lines) {
  const first = element("tr");
  for (const name of head) {
    const cell = element("th", name);
    cell.scope = "col";
    first.append(cell);
  }
  const made = lines.map((line) => {
    const row = element("tr");
    row.append(...line.map((item) => {
      const cell = element("td");
      cell.append(item instanceof Node ? item : String(item ?? ""));
      return cell;
    }));
    return row;
  });
  table.replaceChildren(first, ...made);
}

export const party = (text) => text || t("unknown_party");

export class CallPage {
  /** `may()` says whether the reader may operate; `announce(text)` tells screen readers. */
  constructor(may, announce, fault) {
    Object.assign(this, { may, announce, fault, id: "", call: null, waiting: [], items: new Map(), run: 0 });
  }

  /** Shows a call; events that come while it is fetched are kept, and applied where it does not have them yet. */
  async open(id) {
    this.close();
    this.id = id;
    await this.fetch();
  }

  /** Fetches the call anew: it was opened, or the stream had to start afresh. */
  async fetch() {
    const run = ++this.run;
    this.waiting = [];
    this.call = null;
    let call;
    try {
      call = await ask(`/calls/${this.id}`);
    } catch (error) {
      if (run === this.run) {
        $("call").hidden = false;
        $("call-title").textContent = error.status === 404 ? t("gone") : t("failed", error.message);
      }
      return;
    }
    if (run !== this.run) return;
    this.call = call;
    for (const [event, place] of this.waiting) if (!call.at || number(place) > number(call.at)) apply(call, event);
    this.waiting = [];
    this.items.clear();
    $("transcript").replaceChildren();
    $("call").hidden = false;
    this.draw();
    this.drawQuality();
    clearInterval(this.timer);
    this.timer = setInterval(() => this.poll(), POLL_MS);
  }

  close() {
    this.run += 1;
    clearInterval(this.timer);
    this.id = "";
    this.call = null;
    this.items.clear();
    $("transcript").replaceChildren();
    $("call").hidden = true;
  }

  /** Takes an event of the stream. */
  take(event, place) {
    if (event.call.id !== this.id) return;
    if (!this.call) {
      this.waiting.push([event, place]);
      return;
    }
    apply(this.call, event);
    if (event.type === "transcript.final") this.announce(`${event.data.leg}: ${event.data.text}`);
    this.later();
    if (event.type === "call.transcript.completed") this.poll();
  }

  levels(legs) {
    for (const [name, level] of legs) {
      const bar = document.querySelector(`#legs [data-leg="${CSS.escape(name)}"] i`);
      if (bar) bar.style.transform = `scaleX(${loudness(level)})`;
    }
  }

  async poll() {
    const run = this.run;
    if (!this.call || (this.call.state === "ended" && this.call.settled)) return;
    this.call.settled = this.call.state === "ended";
    try {
      const now = await ask(`/calls/${this.id}`);
      if (run !== this.run || !this.call) return;
      Object.assign(this.call, { quality: now.quality, latency: now.latency });
      this.drawQuality();
    } catch {
      // the stream says when the connection is lost
    }
  }

  later() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      if (this.call) this.draw();
    });
  }

  draw() {
    const call = this.call;
    $("call-title").textContent = `${party(call.from_number)} → ${party(call.to_number)}`;
    const parts = [call.state === "live" && !call.ended ? t("call_live") : t("call_ended", t(`reason_${call.reason}`)), call.started ? moment(call.started) : ""];
    if (call.seconds !== null) parts.push(clock(call.seconds));
    if (call.complete !== null) parts.push(t(call.complete ? "complete" : "incomplete"));
    $("call-state").textContent = parts.filter(Boolean).join(" · ");
    $("call-facts").replaceChildren(...Object.entries({ ...call.headers, ...call.labels }).map(([name, text]) => element("li", `${name}: ${text}`, "badge")));
    this.drawActions();
    this.drawLegs();
    this.drawWords();
  }

  drawActions() {
    const call = this.call;
    const operates = this.may("operate");
    const live = call.state === "live" && !call.ended;
    const key = JSON.stringify([operates, live, call.legs.map((leg) => [leg.name, leg.state])]);
    if (this.actions === key + this.id) return;
    this.actions = key + this.id;
    const buttons = [];
    if (live && operates) {
      for (const leg of call.legs.filter((item) => item.state !== "ended")) {
        const paused = leg.state === "paused";
        buttons.push(this.button(t(paused ? "resume" : "pause", leg.name), () => this.operate(`/calls/${call.id}/legs/${encodeURIComponent(leg.name)}/${paused ? "resume" : "pause"}`)));
      }
      const end = this.button(t("hang_up"), () => confirm(t("hang_up_sure")) && this.operate(`/calls/${call.id}/hangup`));
      end.className = "danger";
      buttons.push(end);
    }
    for (const form of live ? [] : ["text", "srt", "vtt", "json"]) {
      buttons.push(this.button(t("download", form.toUpperCase()), () => save(`/calls/${call.id}/export?form=${form}`).catch((error) => this.fault(t("failed", error.message)))));
    }
    $("call-actions").replaceChildren(...buttons);
  }

  button(text, act) {
    const made = element("button", text);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  }

  operate(path) {
    ask(path, "POST").catch((error) => this.fault(t("failed", error.message)));
  }

  drawLegs() {
    const key = JSON.stringify(this.call.legs) + this.id;
    if (this.legs === key) return;
    this.legs = key;
    $("legs").replaceChildren(...this.call.legs.map((leg) => {
      const made = element("div", "", "leg");
      made.dataset.leg = leg.name;
      made.append(element("strong", leg.speaker ? `${leg.name} · ${leg.speaker}` : leg.name), element("span", t(leg.state), leg.state === "held" || leg.state === "paused" ? "badge warn" : "badge"));
      if (leg.trouble) made.append(element("span", leg.trouble, "badge bad"));
      const meter = element("span", "", `meter ${leg.state}`);
      meter.ariaHidden = "true";
      meter.append(element("i"));
      if (leg.state !== "ended") made.append(meter);
      return made;
    }));
  }

  drawWords() {
    const list = $("transcript"), call = this.call;
    const end = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
    const items = call.transcript.map((said) => ({ key: `said-${said.leg}-${said.utterance}`, time: said.time, said }));
    (call.notes ?? []).forEach((note, index) => items.push({ key: `note-${index}`, time: note.time, note }));
    items.sort((one, other) => (one.time < other.time ? -1 : one.time > other.time ? 1 : 0));
    const wanted = new Set(items.map((item) => item.key));
    for (const [key, node] of this.items) {
      if (!wanted.has(key)) {
        node.remove();
        this.items.delete(key);
      }
    }
    let before = null;
    for (const item of items) {
      let node = this.items.get(item.key);
      if (!node) {
        node = element("li");
        this.items.set(item.key, node);
      }
      const place = before ? before.nextSibling : list.firstChild;
      if (place !== node) list.insertBefore(node, place);
      before = node;
      if (item.said) this.fillSaid(node, item.said);
      else if (!node.textContent) {
        node.className = "note";
        node.textContent = `${hour(item.note.time)} · ${t(`note_${item.note.what}`, item.note.leg, item.note.text)}`;
      }
    }
    if (end) list.scrollTop = list.scrollHeight;
  }

  fillSaid(node, said) {
    const state = `${said.state}-${said.revision}`;
    if (node.dataset.state === state) return;
    node.dataset.state = state;
    Object.assign(node.dataset, { leg: said.leg, utterance: said.utterance });
    const second = this.call.legs.findIndex((leg) => leg.name === said.leg) % 2 === 1;
    node.className = `said ${said.state}${second ? " second" : ""}`;
    const who = `${said.leg} · ${hour(said.time)}${said.state === "refined" ? ` · ${t("refined")}` : ""}`;
    if (!node.firstChild) node.append(element("div", "", "who"), element("div", "", "text"));
    node.children[0].textContent = who;
    node.children[1].textContent = said.text;
  }

  drawQuality() {
    const call = this.call;
    const longest = Math.max(1000, ...call.quality.map((leg) => leg.duration_ms));
    const seen = new Set();
    $("no-timeline").hidden = call.quality.length > 0;
    $("timeline").replaceChildren(...call.quality.flatMap((leg) => {
      const drawing = document.createElementNS(SVG, "svg");
      drawing.setAttribute("viewBox", `0 0 ${longest} 22`);
      drawing.setAttribute("preserveAspectRatio", "none");
      drawing.setAttribute("role", "img");
      drawing.setAttribute("aria-label", `${t("timeline_of", leg.leg)}: ${spoken(leg)}`);
      const bar = (kind, from, to, y, height) => {
        const rect = document.createElementNS(SVG, "rect");
        const shape = { x: from, y, width: Math.max(to - from, longest / 2000), height, class: `kind-${kind}` };
        for (const [name, value] of Object.entries(shape)) rect.setAttribute(name, value);
        drawing.append(rect);
        seen.add(kind);
      };
      for (const span of leg.spans) bar(span.kind, span.start_ms, span.end_ms, 0, 14);
      for (const said of call.transcript) if (said.leg === leg.leg) bar("speech", said.start_ms, said.end_ms, 16, 6);
      return [element("div", `${leg.leg} · ${clock(leg.duration_ms / 1000)}`, "name"), drawing];
    }), ...(call.quality.length ? [axis(longest)] : []));
    $("legend").replaceChildren(...[...seen].map((kind) => {
      const made = element("span");
      made.append(element("i", "", `kind-${kind}`), t(`kind_${kind}`));
      return made;
    }));
    rows($("quality"), [t("leg"), t("codec"), t("engine"), t("asr"), t("mos"), t("loss"), t("jitter"), t("packets"), t("lost"), t("late"), t("foreign")],
      call.quality.map((leg) => [leg.leg, leg.codec, leg.engine, t(`asr_${leg.asr.replace(" ", "_")}`), leg.mos?.toFixed(2) ?? "–", `${(leg.loss * 100).toFixed(2)} %`, duration(leg.jitter_ms / 1000), leg.packets, leg.lost, leg.late, leg.foreign]));
    rows($("latency"), [t("latency"), t("count"), t("last"), t("mean"), t("worst")],
      Object.entries(call.latency).map(([name, lag]) => [t(name), lag.count, duration(lag.last), duration(lag.mean), duration(lag.worst)]));
    $("quality").hidden = !call.quality.length;
    $("latency").hidden = !Object.keys(call.latency).length;
  }
}

/** What a timeline shows, in words. */
function spoken(leg) {
  const sums = new Map();
  for (const span of leg.spans) sums.set(span.kind, (sums.get(span.kind) ?? 0) + span.end_ms - span.start_ms);
  return [...sums].map(([kind, ms]) => `${t(`kind_${kind}`)} ${duration(ms / 1000)}`).join(", ");
}

/** The times below the timelines. */
function axis(longest) {
  const made = element("div", "", "axis");
  const step = STEPS.find((seconds) => longest / 1000 / seconds <= 6) ?? STEPS.at(-1);
  for (let at = 0; at * 1000 <= longest * 0.95; at += step) {
    const tick = element("span", clock(at));
    tick.style.left = `${(at * 100_000) / longest}%`;
    made.append(tick);
  }
  return made;
}

/** How far a meter goes out at a level in dBov: nothing below -60, all at -10. */
export function loudness(level) {
  return Math.min(1, Math.max(0, (level + 60) / 50)).toFixed(2);
}
