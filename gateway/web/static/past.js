// Past calls: search, more of the same.

import { ask } from "./api.js";
import { element, party } from "./call.js";
import { clock, moment, t } from "./texts.js";

const $ = (id) => document.getElementById(id);

export class PastPage {
  constructor() {
    this.next = null;
    $("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this.search();
    });
    $("more").addEventListener("click", () => this.search(this.next));
  }

  async search(before = null) {
    const wanted = new URLSearchParams({ state: "past", limit: "50" });
    for (const [name, value] of new FormData($("search"))) {
      if (value) wanted.set(name, name === "since" || name === "until" ? new Date(value).toISOString() : value);
    }
    if (before !== null) wanted.set("before", before);
    else $("results").replaceChildren();
    try {
      const answer = await ask(`/calls?${wanted}`);
      this.next = answer.next;
      $("results").append(...answer.calls.map((call) => this.row(call)));
      const count = $("results").childElementCount;
      $("found").textContent = count ? t("found", `${count}${this.next === null ? "" : "+"}`) : t("nothing");
    } catch (error) {
      this.next = null;
      $("found").textContent = t("store_fault", error.message);
    }
    $("more").hidden = this.next === null;
  }

  row(call) {
    const item = element("li"), button = element("button");
    button.type = "button";
    button.append(`${party(call.from_number)} → ${party(call.to_number)} · ${call.started ? moment(call.started) : ""} · ${clock(call.seconds ?? 0)}`);
    if (call.complete === false) button.append(" · ", element("span", t("incomplete"), "badge warn"));
    button.append(element("small", call.last_words));
    button.addEventListener("click", () => (location.hash = `#/past/${call.id}`));
    item.append(button);
    return item;
  }
}
