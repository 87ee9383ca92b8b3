// One result: the dream over its original, how it came about, and its recipe for another folder.

import { addressOf, get, place, query } from "../api.js";
import { byId, make, notice } from "../dom.js";
import { originalOf, resultOf, thumbnailOf } from "../pictures.js";
import { draftRecipe } from "../recipes/recipes.js";
import { lastOnly } from "../timing.js";
import { folderPath } from "../words.js";
import { setUpActions, showActions } from "./actions.js";
import { closeFilm, playAlone, pressFilm, setUpFilm, showFilm } from "./film.js";
import { facts, fullWords, unplayable, why } from "./telling.js";
import { watchStage } from "./zoom.js";

/** The longest side of a picture that is made for looking at, in pixels. */
const LARGE = 1600;

let current = null; // the result that is shown; null when the viewer is closed
let sought = {};
let showing = 0;
let stage = null; // zooms, and is swiped

export function setUpViewer() {
  const viewer = byId("viewer");
  byId("viewer-close").addEventListener("click", leave);
  byId("viewer-previous").addEventListener("click", () => step("previous"));
  byId("viewer-next").addEventListener("click", () => step("next"));
  byId("compare-split").addEventListener("input", (event) => split(event.target.value));
  stage = watchStage(byId("compare"), { split, swipe: step, zoomed: loadWhole });
  setUpFilm({ failed: tellUnplayed });
  setUpActions(() => current, { gone: () => (current?.next || current?.previous ? step(current.next ? "next" : "previous") : leave()) });
  byId("viewer-use").addEventListener("submit", useElsewhere);
  byId("compare-before").addEventListener("error", () => byId("compare-before").hasAttribute("src") && setAlone("single"));
  byId("compare-after").addEventListener("error", () => setAlone("lost"));
  viewer.addEventListener("cancel", (event) => {
    event.preventDefault();
    leave();
  });
  viewer.addEventListener("click", (event) => event.target === viewer && leave());
  viewer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (pressFilm(event)) return event.preventDefault();
    if (event.target.matches("input, pre")) return;
    if (stage.press(event)) event.preventDefault();
    else if (event.key === "ArrowLeft") step("previous");
    else if (event.key === "ArrowRight") step("next");
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
    viewer.append(byId("notices")); // behind a dialog nobody could take anything back
  } catch (error) {
    if (turn !== showing) return;
    notice(error.message);
    leave();
  }
}

const ask = (id) => get(`api/results/${encodeURIComponent(id)}?${query(sought)}`);
const askAgain = lastOnly(ask);

/** Closes the viewer, because another place is shown. */
export function closeViewer() {
  showing += 1;
  current = null;
  closeFilm();
  byId("viewer").close();
  document.body.append(byId("notices"));
}

/** There are other results than before: perhaps there is a newer one now. */
export async function neighboursChanged() {
  const turn = showing;
  if (current === null) return;
  const result = await askAgain(current.id);
  if (turn !== showing || result === null) return;
  current = result;
  showNeighbours(result);
  showActions(result);
}

function show(result) {
  const isTaken = !result.is_known || !result.is_there;
  const folder = result.result.slice(0, result.result.lastIndexOf("/") + 1);
  byId("viewer-title").replaceChildren(make("span", { class: "folder" }, folder), result.result.slice(folder.length));
  byId("viewer-recipe").textContent = result.recipe ?? "It is from another version of dreamd, which this one cannot read.";
  byId("viewer-use").hidden = result.recipe === null;
  byId("viewer-again").href = addressOf("again", result.id);
  byId("viewer-again").hidden = isTaken;
  byId("viewer-full").href = resultOf(result.id);
  byId("viewer-full").parentElement.hidden = isTaken;
  byId("viewer-full").textContent = fullWords(result);
  byId("viewer-steps").hidden = !result.steps;
  byId("viewer-strip").href = `${resultOf(result.id)}/steps`;
  byId("viewer-facts").replaceChildren(...facts(result).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  byId("compare").className = "compare";
  stage.reset();
  for (const image of [byId("compare-before"), byId("compare-after")]) delete image.dataset.whole;
  showActions(result);
  byId("compare-alone").hidden = true;
  split(50);
  byId("compare-split").value = 50;
  if (!result.keeps_original) {
    byId("compare-before").removeAttribute("src");
    setAlone("single");
  } else byId("compare-before").src = thumbnailOf(result.id, "before", "large");
  byId("compare-after").src = thumbnailOf(result.id, "after", "large");
  showFilm(result);
  showNeighbours(result);
}

function showNeighbours(result) {
  byId("viewer-previous").disabled = result.previous === null;
  byId("viewer-next").disabled = result.next === null;
}

/** One of the two pictures is not there: `single` without the original, `lost` without the result. */
function setAlone(kind) {
  if (current === null) return;
  if (kind === "single") playAlone();
  else closeFilm();
  byId("compare").classList.add(kind);
  byId("compare-alone").hidden = false;
  byId("compare-alone").textContent = why(current, byId("compare").classList);
  showActions(current);
}

/** A film is not played. Where it is the result, still pictures of both are left to compare. */
async function tellUnplayed(which) {
  const kinds = byId("compare").classList;
  const result = current;
  if (result === null || kinds.contains("lost")) return;
  if (which === "before") {
    setAlone("single");
    const { ok: isThere } = await fetch(originalOf(result.id), { method: "HEAD" }).catch(() => ({ ok: false }));
    if (!isThere || current !== result) return;
    kinds.add("unplayed");
    if (byId("film").hidden) which = "after"; // neither can be played
  }
  if (kinds.contains("unplayed") && which === "after") kinds.remove("single");
  byId("compare-alone").hidden = false;
  byId("compare-alone").replaceChildren(...unplayable(result, which));
  showActions(result);
}

/** How much of the original is shown, in percent. */
function split(value) {
  byId("compare").style.setProperty("--split", value);
  if (byId("compare-split").value !== String(value)) byId("compare-split").value = value;
}

/** Who looks closely sees every pixel there is, as soon as it is here. */
function loadWhole() {
  const { id, size, media } = current ?? {};
  if (!size || media !== "picture" || Math.max(...size) <= LARGE) return;
  for (const [image, source] of [["compare-after", resultOf(id)], ["compare-before", originalOf(id)]]) {
    if (byId(image).dataset.whole === source || !byId(image).hasAttribute("src")) continue;
    byId(image).dataset.whole = source;
    const whole = new Image();
    whole.addEventListener("load", () => current?.id === id && (byId(image).src = source));
    whole.src = source;
  }
}

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
