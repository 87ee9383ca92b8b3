// The pictures of a comparison: each a frame with its dream as it is now, and what is to be said of it below.

import { addressOf } from "../api.js";
import { make, refill } from "../dom.js";
import { resultOf, thumbnailOf } from "../pictures.js";
import { duration, printable } from "../words.js";

const WORDS = { received: "in the inbox", queued: "waits", running: "dreaming", held: "held", done: "", failed: "failed", gone: "taken out of the inbox" };

/** The pane of the picture that all are dreams of; `sources` are tried one after another. */
export function originalPane(label, sources, full) {
  const pane = make("figure", { class: "pane original" }, frame(`${label}, before it was dreamed`), make("figcaption", {}, make("b", {}, label)));
  setPicture(pane, { small: sources[0], full, others: sources.slice(1) });
  return pane;
}

/** The pane of one dream; `update` fills it. */
export const dreamPane = (label, field) => make("figure", { class: "pane" },
  frame(label),
  make("div", { class: "bar-of", role: "progressbar", "aria-label": `Progress of ${printable(label)}`, "aria-valuemin": 0, "aria-valuemax": 100, hidden: true }, make("span")),
  make("figcaption", {}, make("b", {}, field ? `${field} ${printable(label)}` : printable(label)), make("small", { class: "said" }), make("span", { class: "acts" })));

const frame = (label) => make("div", { class: "frame", tabindex: 0, role: "group", "aria-label": printable(label) }, make("p", { class: "word" }));

/** Shows a dream as it is now; `running` is what the worker says of it. */
export function updatePane(pane, dream, running, acts, isOneOfMany) {
  const { told, problem, is_there: isThere } = dream;
  const state = told?.state;
  const bar = pane.querySelector(".bar-of");
  const share = running?.share ?? told?.share ?? null;
  bar.hidden = state !== "running";
  bar.firstChild.style.setProperty("--done", share ?? 0);
  bar.setAttribute("aria-valuenow", Math.round((share ?? 0) * 100));
  if (state === "done" && isThere) setPicture(pane, { small: thumbnailOf(told.job, "after", "large"), full: resultOf(told.job), others: [] });
  else if (state === "running" && running?.preview) setPicture(pane, { small: `previews/${told.job}?${running.preview}`, full: null, others: [] });
  else if (state !== "running" || !pane.dataset.small) setWord(pane, word(dream));
  const said = problem ?? (state === "done" ? (isThere ? took(dream) : "") : (told.reason ?? ""));
  pane.querySelector(".said").textContent = said;
  pane.classList.toggle("bad", Boolean(problem) || state === "failed" || state === "held");
  pane.classList.toggle("discarded", dream.is_discarded);
  refill(pane.querySelector(".acts"), [state, isThere, dream.is_discarded, isOneOfMany], () => acts(dream, isOneOfMany));
}

function word({ told, problem, is_there: isThere }) {
  if (problem) return "not dreamed";
  if (told.state === "done" && !isThere) return "no longer in the outbox";
  return told.state === "running" ? "is begun" : WORDS[told.state];
}

const took = ({ told: { seconds }, is_discarded: isDiscarded }) => (isDiscarded ? "in the trash" : seconds === null ? "" : duration(seconds));

function setWord(pane, text) {
  delete pane.dataset.small;
  pane.querySelector("img")?.remove();
  pane.querySelector(".word").textContent = text;
}

/** The next picture takes the last one's place once it is here, so that nothing flickers. */
function setPicture(pane, { small, full, others }) {
  if (pane.dataset.small === small) return;
  pane.dataset.small = small;
  if (full) pane.dataset.full = full;
  else delete pane.dataset.full;
  const image = make("img", { alt: "", decoding: "async", draggable: "false" });
  image.addEventListener("load", () => {
    if (pane.dataset.small !== small) return;
    const box = pane.closest(".panes");
    if (image.naturalWidth && box && !box.style.getPropertyValue("--ratio")) box.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
    pane.querySelector("img")?.remove();
    pane.querySelector(".word").textContent = "";
    pane.querySelector(".frame").append(image);
  }, { once: true });
  image.addEventListener("error", () => {
    if (pane.dataset.small !== small) return;
    if (others.length) setPicture(pane, { small: others[0], full: null, others: others.slice(1) });
    else if (!small.startsWith("previews/")) setWord(pane, "cannot be shown");
  });
  image.src = small;
}

/** Takes the whole picture in place of the small one where it is looked at closely. */
export function sharpen(box) {
  for (const pane of box.querySelectorAll(".pane[data-full]")) {
    const shown = pane.querySelector("img");
    if (!shown || pane.dataset.sharp === pane.dataset.full) continue;
    pane.dataset.sharp = pane.dataset.full;
    const image = make("img", { alt: "", decoding: "async", draggable: "false" });
    image.addEventListener("load", () => pane.contains(shown) && shown.replaceWith(image), { once: true });
    image.src = pane.dataset.full; // where no browser can show it, the small one stays
  }
}

/** What a dream that is done leads to. */
export const links = ({ told }) => [
  make("a", { href: addressOf("result", told.job) }, "Open"),
  make("a", { href: addressOf("again", told.job, { of: "result" }) }, "Further"),
];
