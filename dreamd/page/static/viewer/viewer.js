// One result: the dream over its original, how it came about, and its recipe for another folder.

import { addressOf, get, place, query } from "../api.js";
import { byId, make, notice } from "../dom.js";
import { draftRecipe } from "../recipes/recipes.js";
import { duration, folderName, folderPath, moment } from "../words.js";

const MADE_FROM_NOISE = "A dream from nothing: it was made from noise, so there is no original.";
const DELETED = "Originals are not kept here, so there is nothing to compare with.";
const MISSING = "The original is no longer where originals are kept, so there is nothing to compare with.";
const TAKEN = "The result was moved or deleted out of the outbox, and with it what tells which original is its own.";
const ONLY_ORIGINAL = "The result was moved or deleted out of the outbox. This is its original.";

let current = null; // the result that is shown; null when the viewer is closed
let sought = {};
let showing = 0;

export function setUpViewer() {
  const viewer = byId("viewer");
  byId("viewer-close").addEventListener("click", leave);
  byId("viewer-previous").addEventListener("click", () => step("previous"));
  byId("viewer-next").addEventListener("click", () => step("next"));
  byId("compare-split").addEventListener("input", (event) => split(event.target.value));
  byId("viewer-use").addEventListener("submit", useElsewhere);
  byId("compare-before").addEventListener("error", () => byId("compare-before").hasAttribute("src") && setAlone("single"));
  byId("compare-after").addEventListener("error", () => setAlone("lost"));
  viewer.addEventListener("cancel", (event) => {
    event.preventDefault();
    leave();
  });
  viewer.addEventListener("click", (event) => event.target === viewer && leave());
  viewer.addEventListener("keydown", (event) => {
    if (event.target.matches("input, pre")) return;
    if (event.key === "ArrowLeft") step("previous");
    if (event.key === "ArrowRight") step("next");
  });
  document.addEventListener("click", open);
}

/** A result that is opened here is one step, which closing it takes back. */
function open(event) {
  const link = event.target.closest?.('a[href^="#result/"]');
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  history.pushState({ isOpenedHere: true }, "", link.getAttribute("href"));
  const { about, fields } = place(location.hash);
  showResult(about, fields);
}

export async function showResult(id, fields) {
  const viewer = byId("viewer");
  const turn = ++showing;
  sought = fields;
  try {
    const result = await ask(id);
    if (turn !== showing) return;
    current = result;
    show(result);
    if (!viewer.open) viewer.showModal();
  } catch (error) {
    if (turn !== showing) return;
    notice(error.message);
    leave();
  }
}

const ask = (id) => get(`api/results/${encodeURIComponent(id)}?${query(sought)}`);

/** Closes the viewer, because another place is shown. */
export function closeViewer() {
  showing += 1;
  current = null;
  byId("viewer").close();
}

/** There are other results than before: perhaps there is a newer one now. */
export async function neighboursChanged() {
  const turn = showing;
  if (current === null) return;
  const result = await ask(current.id);
  if (turn !== showing) return;
  current = result;
  showNeighbours(result);
}

function show(result) {
  const isTaken = !result.is_known || !result.is_there;
  byId("viewer-title").textContent = result.result;
  byId("viewer-recipe").textContent = result.recipe ?? "It is from another version of dreamd, which this one cannot read.";
  byId("viewer-use").hidden = result.recipe === null;
  byId("viewer-again").href = addressOf("again", result.id);
  byId("viewer-again").hidden = isTaken;
  byId("viewer-full").href = `results/${result.id}`;
  byId("viewer-full").parentElement.hidden = isTaken;
  byId("viewer-steps").hidden = !result.steps;
  byId("viewer-strip").href = `results/${result.id}/steps`;
  byId("viewer-facts").replaceChildren(...facts(result).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  byId("compare").className = "compare";
  byId("compare-alone").hidden = true;
  split(50);
  byId("compare-split").value = 50;
  if (result.from_nothing) {
    byId("compare-before").removeAttribute("src");
    setAlone("single");
  } else byId("compare-before").src = `thumbnails/${result.id}/before/large`;
  byId("compare-after").src = `thumbnails/${result.id}/after/large`;
  showNeighbours(result);
}

function showNeighbours(result) {
  byId("viewer-previous").disabled = result.previous === null;
  byId("viewer-next").disabled = result.next === null;
}

function facts(result) {
  const loss = (value) => Number(value).toPrecision(4);
  return [
    ["From", `${folderName(result.folder)}`],
    [result.from_nothing ? "Dream file" : "Picture", result.name],
    ["Finished", moment(result.finished_at)],
    ["Took", result.seconds === null ? "" : duration(result.seconds)],
    ["Size", result.size ? `${result.size[0]} × ${result.size[1]}` : ""],
    ["Device", [result.device, result.precision].filter(Boolean).join(", ")],
    ["Tiles", result.tiling ?? ""],
    ["Loss", result.loss_after === null || result.loss_after === undefined ? "" : `${loss(result.loss_before)} → ${loss(result.loss_after)}`],
  ].filter(([, value]) => value !== "");
}

/** One of the two pictures is not there: `single` without the original, `lost` without the result. */
function setAlone(kind) {
  if (current === null) return;
  byId("compare").classList.add(kind);
  byId("compare-alone").hidden = false;
  byId("compare-alone").textContent = why(current, byId("compare").classList);
}

function why(result, kinds) {
  if (kinds.contains("lost") && !kinds.contains("single")) return result.is_there ? "The result cannot be shown small." : ONLY_ORIGINAL;
  if (result.from_nothing) return MADE_FROM_NOISE;
  if (!result.is_known) return TAKEN;
  return result.keeps_originals ? MISSING : DELETED;
}

const split = (value) => byId("compare").style.setProperty("--split", value);

function step(way) {
  const next = current?.[way];
  if (!next) return;
  history.replaceState(history.state, "", addressOf("result", next, sought));
  showResult(next, sought);
}

/** Goes back to where the result was opened; to the gallery, where a link has led to it. */
function leave() {
  const was = current?.id;
  const isOpenedHere = history.state?.isOpenedHere;
  closeViewer();
  // A browser that has gone to another place takes the focus away, so that it is set afterwards.
  window.addEventListener("hashchange", () => setTimeout(() => focusTile(was)), { once: true });
  if (isOpenedHere) history.back();
  else location.replace(addressOf("gallery", "", sought));
}

const focusTile = (id) =>
  document.querySelector(`section:not([hidden]) [data-key="${CSS.escape(id ?? "")}"]`)?.focus({ preventScroll: true });

function useElsewhere(event) {
  event.preventDefault();
  draftRecipe(folderPath(byId("viewer-folder").value), current.recipe);
}
