// One result: the dream over its original, how it came about, and its recipe for another folder.

import { get } from "./api.js";
import { byId, make, notice } from "./dom.js";
import { draftRecipe } from "./recipes.js";
import { loaded, loadOlder } from "./gallery.js";
import { duration, folderName, folderPath, moment } from "./words.js";

const NOT_KEPT = "The original is not kept, so there is nothing to compare with.";
const MADE_FROM_NOISE = "A dream from nothing: it was made from noise, so there is no original.";

let current = null;
let recipe = "";
let back = "#gallery";

export function setUpViewer() {
  const viewer = byId("viewer");
  byId("viewer-close").addEventListener("click", leave);
  byId("viewer-newer").addEventListener("click", () => step(-1));
  byId("viewer-older").addEventListener("click", () => step(1));
  byId("compare-split").addEventListener("input", (event) => split(event.target.value));
  byId("viewer-use").addEventListener("submit", useElsewhere);
  byId("compare-before").addEventListener("error", () => setSingle(true));
  viewer.addEventListener("cancel", (event) => {
    event.preventDefault();
    leave();
  });
  viewer.addEventListener("click", (event) => event.target === viewer && leave());
  viewer.addEventListener("keydown", (event) => {
    if (event.target.matches("input, pre")) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  window.addEventListener("hashchange", (event) => {
    const before = new URL(event.oldURL).hash;
    if (!before.startsWith("#result/")) back = before || "#now";
  });
}

export async function showResult(id) {
  const viewer = byId("viewer");
  current = id;
  try {
    const result = await get(`api/results/${encodeURIComponent(id)}`);
    if (current !== id) return;
    show(result);
    if (!viewer.open) viewer.showModal();
  } catch (error) {
    notice(error.message);
    leave();
  }
}

function show(result) {
  recipe = result.recipe;
  byId("viewer-title").textContent = result.result;
  byId("viewer-recipe").textContent = recipe;
  byId("viewer-full").href = `results/${result.id}`;
  byId("viewer-steps").hidden = !result.steps;
  byId("viewer-strip").href = `results/${result.id}/steps`;
  byId("viewer-facts").replaceChildren(...facts(result).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  byId("compare-alone").textContent = result.from_nothing ? MADE_FROM_NOISE : NOT_KEPT;
  setSingle(result.from_nothing);
  split(50);
  byId("compare-split").value = 50;
  if (result.from_nothing) byId("compare-before").removeAttribute("src");
  else byId("compare-before").src = `thumbnails/${result.id}/before/large`;
  byId("compare-after").src = `thumbnails/${result.id}/after/large`;
  const at = loaded().findIndex(({ id }) => id === result.id);
  byId("viewer-newer").disabled = at <= 0;
  byId("viewer-older").disabled = at < 0 || at >= loaded().length - 1;
  if (at >= loaded().length - 3) loadOlder();
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

function setSingle(isSingle) {
  byId("compare").classList.toggle("single", isSingle);
  byId("compare-alone").hidden = !isSingle;
}

const split = (value) => byId("compare").style.setProperty("--split", value);

function step(by) {
  const all = loaded();
  const next = all[all.findIndex(({ id }) => id === current) + by];
  if (next) location.replace(`#result/${next.id}`);
}

function leave() {
  const was = current;
  current = null;
  byId("viewer").close();
  location.hash = back;
  requestAnimationFrame(() => document.querySelector(`section:not([hidden]) [data-key="${CSS.escape(was ?? "")}"]`)?.focus());
}

function useElsewhere(event) {
  event.preventDefault();
  const folder = folderPath(byId("viewer-folder").value);
  current = null;
  draftRecipe(folder, recipe);
}
