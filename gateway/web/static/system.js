// The gateway at a glance: engines, consumers of webhooks, the latencies of the last hour.

import { ask } from "./api.js";
import { element, rows } from "./call.js";
import { clock, t } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDE = 590, HIGH = 100, MINUTES = 59;
const $ = (id) => document.getElementById(id);

export async function drawSystem() {
  const [status, minutes] = await Promise.all([ask("/status"), ask("/latency")]);
  const facts = {
    calls: status.calls, legs: status.legs, capacity: status.capacity, sip: status.sip.join(", "), store: status.store,
    uptime: clock(status.seconds), loop_lag: `${status.loop_lag_ms} ms`, viewers: status.viewers,
  };
  if (status.draining) facts.state = t("draining");
  $("status").replaceChildren(...Object.entries(facts).map(([name, value]) => {
    const made = element("div");
    made.append(element("dt", t(name)), element("dd", String(value)));
    return made;
  }));
  rows($("engines"), [t("name"), t("state"), t("sessions"), t("starts"), t("outages")],
    status.engines.map((engine) => [engine.name, engine.state, Object.entries(engine.sessions).map(([state, count]) => `${state} ${count}`).join(", "), engine.starts, engine.outages]));
  rows($("endpoints"), [t("name"), t("address"), t("waiting"), t("delivered"), t("dead"), t("result")],
    status.endpoints.map((point) => [point.name, point.url, point.waiting, point.delivered, point.dead, point.last_result]));
  const names = new Set(minutes.flatMap((minute) => Object.keys(minute.latency)));
  $("charts").replaceChildren(...(names.size ? [...names].map((name) => chart(name, minutes)) : [element("p", t("no_latency"))]));
}

function chart(name, minutes) {
  const points = minutes.filter((minute) => minute.latency[name]);
  const most = Math.max(0.001, ...points.map((minute) => minute.latency[name].p95)) * 1.1;
  const newest = points.at(-1).latency[name];
  const drawing = document.createElementNS(SVG, "svg");
  const spoken = `${t(name)}: ${t("p50")} ${newest.p50.toFixed(3)} s, ${t("p95")} ${newest.p95.toFixed(3)} s`;
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
  made.append(drawing, element("figcaption", spoken));
  return made;
}
