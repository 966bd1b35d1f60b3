// The gateway at a glance: engines, consumers of webhooks, the latencies of the last hour.

import { ask } from "./api.js";
import { element, rows } from "./call.js";
import { clock, duration, t } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDE = 590, HIGH = 100, MINUTES = 59;
const $ = (id) => document.getElementById(id);

export async function drawSystem() {
  const [status, minutes] = await Promise.all([ask("/status"), ask("/latency")]);
  const facts = {
    calls: status.calls, legs: status.legs, capacity: status.capacity, sip: status.sip.join("\n"), store: status.store,
    uptime: clock(status.seconds), loop_lag: `${status.loop_lag_ms} ms`, viewers: status.viewers,
  };
  if (status.draining) facts.state = t("draining");
  $("status").replaceChildren(...Object.entries(facts).map(([name, value]) => {
    const made = element("div");
    made.append(element("dt", t(name)), element("dd", String(value)));
    return made;
  }));
  const sessions = (engine) => Object.entries(engine.sessions).map(([state, count]) => `${t(`asr_${state.replace(" ", "_")}`)} ${count}`).join(", ");
  rows($("engines"), [t("name"), t("state"), t("sessions"), t("starts"), t("outages")],
    status.engines.map((engine) => [engine.name, badge(t(`breaker_${engine.state}`), engine.state === "closed"), sessions(engine), engine.starts, engine.outages]));
  const well = (point) => !point.last_result || point.last_result.startsWith("delivered");
  rows($("endpoints"), [t("name"), t("state"), t("waiting"), t("oldest"), t("delivered"), t("dead"), t("address")],
    status.endpoints.map((point) => [point.name, badge(point.last_result || "–", well(point)), point.waiting, point.oldest_seconds ? duration(point.oldest_seconds) : "–", point.delivered, point.dead, point.url]));
  const names = new Set(minutes.flatMap((minute) => Object.keys(minute.latency)));
  $("charts").replaceChildren(...(names.size ? [...names].map((name) => chart(name, minutes)) : [element("p", t("no_latency"))]));
}

function badge(text, well) {
  return element("span", text, well ? "badge good" : "badge bad");
}

function chart(name, minutes) {
  const points = minutes.filter((minute) => minute.latency[name]);
  const most = Math.max(0.001, ...points.map((minute) => minute.latency[name].p95)) * 1.1;
  const newest = points.at(-1).latency[name];
  const drawing = document.createElementNS(SVG, "svg");
  const spoken = `${t(name)}: ${t("p50")} ${duration(newest.p50)}, ${t("p95")} ${duration(newest.p95)}`;
  for (const [key, value] of Object.entries({ viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": spoken })) drawing.setAttribute(key, value);
  for (const share of ["p50", "p95"]) {
    const path = document.createElementNS(SVG, "path");
    const line = points.map((minute) => `${WIDE - 10 * Math.min(MINUTES, minute.minutes_ago)},${(HIGH - (minute.latency[name][share] / most) * HIGH).toFixed(1)}`);
    // a minute alone is still seen
    path.setAttribute("d", `M${line.length === 1 ? `${WIDE - 10},${line[0].split(",")[1]}L` : ""}${line.join("L")}`);
    path.setAttribute("class", share);
    drawing.append(path);
  }
  const made = element("figure", "", "chart");
  const caption = element("figcaption");
  caption.append(element("strong", t(name)));
  for (const share of ["p50", "p95"]) caption.append(element("span", `${t(share)} ${duration(newest[share])}`, `key ${share}`));
  const times = element("div", "", "times");
  times.append(element("span", t("minutes_ago", MINUTES + 1)), element("span", t("now")));
  made.append(caption, element("div", duration(most), "most"), drawing, times);
  return made;
}
