// Results that are selected, with a click, a range, the keyboard or a long press, and the bar of what can be done with them.

import { addressOf } from "../api.js";
import { byId, notice, tried } from "../dom.js";
import { count } from "../words.js";
import { MOST_SELECTED, downloadOf, remove, restore, star } from "./deeds.js";

const MOST_COMPARED = 24; // as the server takes them

const selected = new Map();
let anchor = null; // where a range begins
let all = () => [];
let redraw = () => {};
let isTrash = () => false;

export const isSelected = (id) => selected.has(id);
export const isSelecting = () => selected.size > 0;

/** Sets up the bar. `shown` returns the results in their order, `draw` shows what is selected, `trash` whether that is shown. */
export function setUpSelection({ shown, draw, trash }) {
  [all, redraw, isTrash] = [shown, draw, trash];
  byId("selection-clear").addEventListener("click", clear);
  byId("selection-star").addEventListener("click", () => act((ids) => star(ids, !areFavourites())));
  byId("selection-delete").addEventListener("click", () => removeSelected());
  byId("selection-restore").addEventListener("click", () => act(restore));
  for (const id of ["selection-download", "selection-again"]) byId(id).addEventListener("click", () => setTimeout(clear));
}

export function toggle(result) {
  if (selected.has(result.id)) selected.delete(result.id);
  else add([result]);
  anchor = result.id;
  tell();
}

/** Selects all from where the last one was to this one. */
export function extendTo(result) {
  const results = all();
  const ends = [anchor ?? result.id, result.id].map((id) => results.findIndex((each) => each.id === id));
  if (ends.includes(-1)) return toggle(result);
  add(results.slice(Math.min(...ends), Math.max(...ends) + 1));
  return tell();
}

export function selectAll() {
  add(all());
  tell();
}

export function clear() {
  if (!selected.size) return;
  selected.clear();
  tell();
}

/** What is shown no longer is selected no longer. */
export function forget(isGone) {
  for (const id of [...selected.keys()]) if (isGone(id)) selected.delete(id);
  tell();
}

/** Deletes what is selected, or this one. */
export async function removeSelected(result = null) {
  const ids = selected.size ? [...selected.keys()] : result ? [result.id] : [];
  if (!ids.length || isTrash()) return;
  selected.clear();
  await tried(() => remove(ids));
  tell();
}

function add(results) {
  const fresh = results.filter(({ id }) => !selected.has(id));
  const room = MOST_SELECTED - selected.size;
  for (const result of fresh.slice(0, room)) selected.set(result.id, result);
  if (fresh.length > room) notice(`${count(MOST_SELECTED)} results can be selected at a time.`);
}

const areFavourites = () => all().filter(({ id }) => selected.has(id)).every((result) => result.is_favourite);

async function act(deed) {
  const ids = [...selected.keys()];
  if (await tried(() => deed(ids))) clear();
}

function tell() {
  const ids = [...selected.keys()];
  byId("selection").hidden = ids.length === 0;
  byId("gallery").classList.toggle("selecting", ids.length > 0);
  document.body.classList.toggle("has-selection", ids.length > 0);
  byId("selection-count").textContent = `${count(ids.length)} selected`;
  if (ids.length) {
    byId("selection-again").href = ids.length === 1 ? addressOf("again", ids[0]) : addressOf("compare", ids.join(","));
    byId("selection-again").querySelector("span").textContent = ids.length === 1 ? "Again" : "Compare";
    byId("selection-download").href = downloadOf(ids);
    byId("selection-download").download = ids.length === 1 ? selected.get(ids[0]).result.split("/").pop() : "dreams.zip";
  } else anchor = null;
  byId("selection-star").querySelector("span").textContent = ids.length && areFavourites() ? "No favourite" : "Favourite";
  byId("selection-delete").hidden = byId("selection-star").hidden = isTrash();
  byId("selection-restore").hidden = !isTrash();
  byId("selection-again").hidden = isTrash() || ids.length > MOST_COMPARED;
  redraw();
}
