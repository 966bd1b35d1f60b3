// Folds events into calls, as gateway/web/view.py does: pure, no page.

const LEG_STATE = { held: "held", withheld: "paused", leg_ended: "ended", resumed: "up", released: "up", leg_added: "up" };

/** Number of a place in the stream. */
export const number = (place) => Number(place.slice(place.lastIndexOf("-") + 1));

/** A call that was not known before. */
export function fresh(id) {
  return { id, state: "live", from_number: "", to_number: "", headers: {}, labels: {}, started: null, ended: null, seconds: null,
    reason: "", complete: null, legs: [], last_words: "", seq: 0 };
}

function leg(call, name) {
  let found = call.legs.find((item) => item.name === name);
  if (!found) call.legs.push((found = { name, codec: "", state: "up", trouble: "", speaker: "" }));
  return found;
}

const speaker = (data) => data.speaker?.name || data.speaker?.aor || "";

/** Applies an event to a call of the list, or to a call with all its details (it has `transcript` then). */
export function apply(call, event) {
  const { type, data } = event;
  call.from_number = event.call.from_number;
  call.to_number = event.call.to_number;
  call.labels = event.call.labels ?? {};
  call.headers = event.call.headers ?? {};
  call.seq = Math.max(call.seq, event.seq);
  if (type === "call.started") {
    call.started = event.time;
    Object.assign(leg(call, data.leg), { codec: data.codec, speaker: speaker(data) });
  } else if (type === "call.updated" && data.leg) {
    leg(call, data.leg).state = LEG_STATE[data.change] ?? leg(call, data.leg).state;
    leg(call, data.leg).speaker = speaker(data) || leg(call, data.leg).speaker;
    if (data.change !== "speaker") note(call, event, data.change);
  } else if (type === "call.ended") {
    Object.assign(call, { ended: event.time, reason: data.reason, seconds: data.seconds });
    for (const known of call.legs) known.state = "ended";
  } else if (type.startsWith("transcript.")) {
    say(call, type.slice(11), data);
  } else if (type === "asr.degraded") {
    leg(call, data.leg).trouble = data.text;
    note(call, event, "degraded", data.text);
  } else if (type === "asr.recovered") {
    leg(call, data.leg).trouble = "";
    note(call, event, "recovered");
  } else if (type === "leg.dtmf") {
    note(call, event, "dtmf", data.key);
  } else if (type === "call.transcript.completed") {
    Object.assign(call, { complete: data.complete, state: "ended" });
    if (call.transcript) call.transcript = call.transcript.filter((words) => words.state !== "partial");
  }
}

function note(call, event, what, text = "") {
  call.notes?.push({ time: event.time, leg: event.data.leg, what, text });
}

function say(call, state, said) {
  if (said.text || state !== "partial") call.last_words = said.text;
  if (!call.transcript) return;
  const place = call.transcript.findIndex((words) => words.leg === said.leg && words.utterance === said.utterance);
  const before = call.transcript[place];
  if (before && before.revision >= said.revision) return;
  if (!said.text && state === "partial") {
    if (before) call.transcript.splice(place, 1);
  } else if (before) {
    call.transcript[place] = { ...said, state };
  } else {
    call.transcript.push({ ...said, state });
  }
}
