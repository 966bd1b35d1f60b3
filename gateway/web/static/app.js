// The live page: follows all calls, shows one of them, and what is past.

import { ask, setToken, Stream, token } from "./api.js";
import { CallPage, element, loudness, party } from "./call.js";
import { apply, fresh } from "./fold.js";
import { VirtualList } from "./list.js";
import { PastPage } from "./past.js";
import { drawSystem } from "./system.js";
import { clock, language, t, translate } from "./texts.js";

const RANK = { none: 0, view: 1, operate: 2, admin: 3 };
const SYSTEM_MS = 5000;
const $ = (id) => document.getElementById(id);

let role = "none";
let calls = new Map();
let levels = {};
let stale = false;

const announce = (text) => {
  const line = element("div", text);
  $("announcer").append(line);
  while ($("announcer").childElementCount > 5) $("announcer").firstChild.remove();
};
const open = new CallPage((wanted) => RANK[role] >= RANK[wanted], announce, (text) => say("off", text));
const past = new PastPage();

// the list of live calls

const list = new VirtualList($("list"), makeRow, fillRow, (call) => (location.hash = `#/live/${call.id}`));

function makeRow() {
  const row = element("div");
  row.append(element("span", "", "parties"), element("span", "", "time"), element("span", "", "words"), element("span", "", "meters"));
  return row;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function fillRow(row, call) {
  const [parties, time, words, meters] = row.children;
  write(parties, `${party(call.from_number)} → ${party(call.to_number)}`);
  write(time, call.ended ? t("ended") : clock((Date.now() - Date.parse(call.started ?? new Date())) / 1000));
  const trouble = call.legs.find((leg) => leg.trouble)?.trouble;
  const held = call.legs.filter((leg) => leg.state === "held" || leg.state === "paused").map((leg) => `${leg.name} ${t(leg.state)}`);
  write(words, [trouble, ...held, call.last_words].filter(Boolean).join(" · "));
  row.ariaSelected = String(call.id === open.id);
  while (meters.childElementCount < Math.min(3, call.legs.length)) {
    const meter = element("span", "", "meter");
    meter.append(element("i"));
    meters.append(meter);
  }
  while (meters.childElementCount > Math.min(3, call.legs.length)) meters.lastChild.remove();
  const now = Object.fromEntries(levels[call.id] ?? []);
  call.legs.slice(0, 3).forEach((leg, index) => {
    meters.children[index].className = `meter ${leg.state}`;
    meters.children[index].firstChild.style.transform = `scaleX(${loudness(now[leg.name] ?? -127)})`;
  });
}

function shown() {
  const wanted = $("filter").value.trim().toLowerCase();
  const all = [...calls.values()];
  if (!wanted) return all;
  return all.filter((call) => [call.from_number, call.to_number, call.last_words, ...Object.values(call.labels), ...call.legs.map((leg) => leg.name)]
    .some((text) => text.toLowerCase().includes(wanted)));
}

function drawList() {
  if (stale) return;
  stale = true;
  requestAnimationFrame(() => {
    stale = false;
    const items = shown();
    write($("live-count"), String(calls.size));
    $("list-empty").hidden = items.length > 0;
    $("list").hidden = items.length === 0;
    list.show(items);
  });
}

$("filter").addEventListener("input", drawList);
setInterval(() => list.later(), 1000);

// the stream

function say(kind, text) {
  $("connection").className = kind;
  write($("connection"), text);
}

const stream = new Stream({
  snapshot(data) {
    calls = new Map(data.calls.map((call) => [call.id, call]));
    levels = {};
    drawList();
    if (open.id) open.fetch();
  },
  call(event, place) {
    const id = event.call.id;
    let call = calls.get(id);
    if (!call) calls.set(id, (call = fresh(id)));
    apply(call, event);
    if (call.state === "ended") calls.delete(id);
    open.take(event, place);
    drawList();
  },
  levels(data) {
    levels = data.calls;
    list.later();
    if (open.id) open.levels(levels[open.id] ?? (open.call?.legs ?? []).map((leg) => [leg.name, -127]));
  },
  state(kind) {
    if (kind === "on") say("on", t("connected"));
    else if (kind === "off") say("off", t("cut"));
    else {
      say("off", t("needs_token"));
      signIn(token ? t("refused") : "");
    }
  },
});

// who reads

function signIn(fault = "") {
  $("sign-in-fault").textContent = fault;
  $("token").value = "";
  if (!$("sign-in").open) $("sign-in").showModal();
}

$("sign-in").addEventListener("close", () => {
  if ($("sign-in").returnValue === "ok") {
    setToken($("token").value.trim());
    begin();
  }
});
$("token-button").addEventListener("click", () => {
  if (!token) return signIn();
  setToken("");
  begin();
});

async function begin() {
  role = "none";
  say("", t("connecting"));
  $("token-button").textContent = t(token ? "sign_out" : "sign_in");
  stream.start();
  try {
    role = (await ask("/whoami")).role;
    document.body.dataset.role = role;
    open.actions = "";
    if (open.call) open.draw();
  } catch {
    // the stream says so
  }
  route();
}

// where one is

let timer = 0;

async function route() {
  const [, view = "live", id = ""] = location.hash.split("/");
  const known = ["live", "past", "system"].includes(view) ? view : "live";
  for (const name of ["live", "past", "system"]) {
    $(`view-${name}`).hidden = name !== known;
    if (name === known) $(`tab-${name}`).setAttribute("aria-current", "page");
    else $(`tab-${name}`).removeAttribute("aria-current");
  }
  document.body.classList.toggle("open", Boolean(id));
  clearInterval(timer);
  if (known === "system") {
    const draw = () => drawSystem().catch(() => {});
    draw();
    timer = setInterval(draw, SYSTEM_MS);
  }
  if (known === "past" && !$("results").childElementCount) past.search();
  if (!id) {
    // where the reader was before
    if (open.id) ({ live: $("list"), past: $("view-past") })[known]?.focus({ preventScroll: true });
    open.close();
  } else if (open.id !== id) {
    await open.open(id);
    if (matchMedia("(max-width: 760px)").matches) $("call-title").scrollIntoView();
  }
  list.later();
}

$("close").addEventListener("click", () => (location.hash = `#/${location.hash.split("/")[1] || "live"}`));
addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && open.id && !$("sign-in").open) $("close").click();
});

// how it looks

$("language").value = language;
$("language").addEventListener("change", () => {
  localStorage.setItem("language", $("language").value);
  location.reload();
});
const theme = localStorage.getItem("theme") ?? "auto";
$("theme").value = theme;
document.documentElement.dataset.theme = theme;
$("theme").addEventListener("change", () => {
  localStorage.setItem("theme", $("theme").value);
  document.documentElement.dataset.theme = $("theme").value;
});

translate();
begin();
