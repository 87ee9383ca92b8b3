// Weights that are not here: one button that fetches them, how far that is, and where to put the file by hand.

import { make, refill } from "../dom.js";
import { order } from "../orders.js";
import { duration, size } from "../words.js";

const live = new Map(); // what the daemon says of each backbone's weights that are not here

/** Takes what the daemon says now, and shows it in every box. */
export function showFetches(fetches = []) {
  live.clear();
  for (const fetch of fetches) live.set(fetch.backbone, fetch);
  for (const box of document.querySelectorAll(".fetch")) fill(box);
}

/** A box for weights that are not here, which shows what becomes of them. */
export function fetchBox(need) {
  const box = make("div", { class: "fetch" });
  box.need = need;
  fill(box);
  return box;
}

/** Fills an element with a box for each of the weights that are not here. */
export const showFetchBoxes = (element, missing) =>
  refill(element, missing.map(({ backbone }) => backbone), () => missing.map(fetchBox));

function fill(box) {
  const now = live.get(box.need.backbone) ?? box.need;
  const isComing = now.state === "fetching";
  refill(box, [now.backbone, now.state, now.problem, now.may_fetch, isComing ? null : now.done], () => (isComing ? coming(now) : missing(now)));
  if (isComing) progress(box, now);
}

function missing(need) {
  const { backbone, done, total, problem, state, may_fetch: mayFetch } = need;
  const amount = total ? ` (${size(total)})` : "";
  const label = done ? `Go on fetching ${backbone}` : `Fetch ${backbone}${amount}`;
  const why = problem ?? (state === "cancelled" ? `The weights of ${backbone} are not here. Their download was cancelled.` : `The weights of ${backbone} are not here.`);
  return [
    make("p", { class: "fetch-words", ...(problem ? { role: "alert" } : {}) }, done ? `${why}\n${size(done)}${total ? ` of ${size(total)}` : ""} have come.` : why),
    mayFetch
      ? make("button", { type: "button", "data-key": `fetch ${backbone}`, onclick: () => order("api/weights/fetch", { backbone }) }, label)
      : make("p", { class: "soft" }, "config.yaml forbids dreamd to fetch weights (weights.fetch: never)."),
    byHand(need),
  ];
}

function byHand({ backbone, path, sha256, url }) {
  const rows = [["File", path], ["SHA-256", sha256 ? (sha256.length === 64 ? sha256 : `begins with ${sha256}`) : "nobody has published it"], ["From", url]];
  return make("details", {}, make("summary", { "data-key": `by hand ${backbone}` }, "Put the file there by hand"),
    make("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, make("code", {}, value))])),
    make("p", { class: "soft" }, "It is found within seconds, and what waits for it goes on."));
}

function coming({ backbone }) {
  return [
    make("p", { class: "fetch-words" }, `The weights of ${backbone} are on their way.`),
    make("progress", { max: 1, "aria-label": `Weights of ${backbone}` }),
    make("span", { class: "soft amount" }),
    make("button", { type: "button", class: "quiet", "data-key": `fetch ${backbone}`, onclick: () => order("api/weights/cancel", { backbone }) }, "Cancel"),
  ];
}

function progress(box, { done, total, bytes_per_second: rate, eta_seconds: left }) {
  const bar = box.querySelector("progress");
  if (total) bar.value = Math.min(1, done / total);
  else bar.removeAttribute("value");
  box.querySelector(".amount").textContent = [
    total ? `${size(done)} of ${size(total)}` : size(done),
    rate ? `${size(rate)}/s` : null,
    left === null ? null : `about ${duration(left)} left`,
  ].filter(Boolean).join(" · ");
}
