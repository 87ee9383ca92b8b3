// Results in full rows. Only the pages near what is seen are in the document: ten thousand results scroll like sixty.

import { get, query } from "../api.js";
import { byId, make, notice, refill, tried } from "../dom.js";
import { showNewest } from "../now/running.js";
import { MARKED, dismiss, star } from "./deeds.js";
import { watchKeys } from "./keys.js";
import { layOut, ratioOf, rowHeight } from "./rows.js";
import { lastOnly } from "../timing.js";
import { DEFAULTS, isSame, nothingFound, setUpSeeking, showSeeking } from "./seeking.js";
import * as selection from "./selection.js";
import { tile, watchPresses } from "./tile.js";

const PAGE = 120;
const LATEST = 12;
const NEAR = "1500px 0px";

let wanted = DEFAULTS;
let pages = [];
let isLoading = false;
let isComplete = false;
let isBegun = false;
let turn = 0; // counts the lists that were begun: what was asked for an earlier one is of no use to a later one
let known = new Set();
let latest = [];
let width = 0;

export function setUpGallery() {
  const gallery = byId("gallery");
  setUpSeeking(() => wanted, (sought) => tried(() => showGallery(sought)));
  byId("gallery-more").addEventListener("click", loadMore);
  atEnd.observe(byId("gallery-more"));
  selection.setUpSelection({ shown: all, draw: drawSelection, trash: () => wanted.show === "trash" });
  gallery.addEventListener("click", clicked);
  gallery.addEventListener("press", (event) => !selection.isSelected(idOf(event.target)) && selection.toggle(resultOf(event.target)));
  watchPresses(gallery);
  watchPresses(byId("latest"));
  watchKeys(gallery, resultOf, {
    toggle: selection.toggle, extend: selection.extendTo, remove: selection.removeSelected,
    selectAll: selection.selectAll, clear: selection.clear, star: (result) => favour(result),
  });
  document.addEventListener(MARKED, () => tried(marksChanged));
  document.addEventListener("keydown", (event) => event.key === "Escape" && !byId("viewer").open && selection.clear());
  new ResizeObserver(layOutAll).observe(gallery);
  new ResizeObserver(layOutLatest).observe(byId("latest"));
}

const all = () => pages.flatMap((page) => page.results);
const idOf = (element) => element.closest(".tile")?.dataset.id;
const resultOf = (element) => all().find(({ id }) => id === idOf(element));

function clicked(event) {
  const result = event.target.closest(".tile") && resultOf(event.target);
  if (!result || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest(".star")) favour(result);
  else if (event.target.closest(".dismiss")) tried(() => dismiss([result.id]));
  else if (event.shiftKey) selection.extendTo(result);
  else if (event.target.closest(".pick") || selection.isSelecting()) selection.toggle(result);
  else return;
  event.preventDefault();
  event.stopPropagation(); // no result is opened
}

async function favour(result) {
  result.is_favourite = !result.is_favourite;
  drawFavourite(result);
  if (await tried(() => star([result.id], result.is_favourite))) return;
  result.is_favourite = !result.is_favourite;
  drawFavourite(result);
}

function drawFavourite({ id, is_favourite: isFavourite }) {
  const item = byId("gallery").querySelector(`[data-id="${CSS.escape(id)}"]`);
  item?.classList.toggle("favourite", isFavourite);
  item?.querySelector(".star")?.setAttribute("aria-pressed", String(isFavourite));
}

function drawSelection() {
  for (const item of byId("gallery").querySelectorAll(".tile")) {
    const isSelected = selection.isSelected(item.dataset.id);
    if (item.classList.contains("selected") === isSelected) continue;
    item.classList.toggle("selected", isSelected);
    item.querySelector(".pick")?.setAttribute("aria-pressed", String(isSelected));
  }
}

export async function showGallery(fields) {
  const sought = { ...DEFAULTS, ...fields };
  const isOther = !isSame(sought, wanted);
  wanted = sought;
  if (isOther || !isBegun) restart();
  await showSeeking(wanted);
}

function restart() {
  isBegun = true;
  turn += 1;
  near.disconnect();
  pages = [];
  known = new Set();
  isComplete = isLoading = false;
  byId("gallery").replaceChildren();
  selection.clear();
  loadMore();
}

const atEnd = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && loadMore(), { rootMargin: NEAR });

/** Pages far from what is seen leave their place empty, as high as they were. */
const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const page = pages.find((each) => each.element === target);
    if (page === undefined || page.isFilled === isIntersecting) continue;
    if (!isIntersecting && target.contains(document.activeElement)) continue;
    fill(page, isIntersecting);
  }
}, { rootMargin: NEAR });

function fill(page, isFilled) {
  page.isFilled = isFilled;
  if (!isFilled) page.element.querySelectorAll("img").forEach((image) => image.removeAttribute("src")); // ends its loading
  page.element.replaceChildren(...(isFilled ? page.results.map(tileOf) : []));
  layOutPage(page);
  if (isFilled && page.isStale) tried(() => refresh(page));
}

const tileOf = (result, isFresh = false) =>
  tile(result, { sought: wanted, isSelected: selection.isSelected(result.id), canMark: true, isFresh: isFresh === true });

/** Every page but the last is full rows from its first to its last picture, so that nobody sees where one ends. */
function layOutPage(page) {
  if (!width) return;
  const isEnd = isComplete && page === pages.at(-1);
  const height = layOut(page.isFilled ? [...page.element.children] : null, page.results.map(ratioOf), width, { isEnd });
  page.element.style.minHeight = page.isFilled ? "" : `${height}px`;
}

function layOutAll() {
  const now = byId("gallery").clientWidth;
  if (now === width || now === 0) return;
  width = now;
  pages.forEach(layOutPage);
}

function addPage(results, where) {
  const element = make("ul", { class: "rows page", "aria-label": "Results" });
  const page = { results, element, isFilled: false, isStale: false, ask: lastOnly(get) };
  results.forEach(({ id }) => known.add(id));
  if (where === "start") {
    pages.unshift(page);
    byId("gallery").prepend(element);
  } else {
    pages.push(page);
    byId("gallery").append(element);
  }
  fill(page, true);
  near.observe(element);
}

async function loadMore() {
  if (isLoading || isComplete || !isBegun) return;
  isLoading = true;
  byId("gallery").setAttribute("aria-busy", "true");
  const asked = turn;
  const before = pages.findLast(({ results }) => results.length)?.results.at(-1).place;
  try {
    const results = await get(`api/results?${query({ limit: PAGE, ...wanted, before })}`);
    if (asked !== turn) return;
    isComplete = results.length < PAGE;
    const fresh = results.filter(({ id }) => !known.has(id)); // what has come meanwhile stands at the top already
    if (fresh.length) addPage(fresh, "end");
    else if (pages.length) layOutPage(pages.at(-1));
    showNothing();
    byId("gallery-more").hidden = isComplete;
    atEnd.unobserve(byId("gallery-more")); // it is told of once more, where the end is still near
    atEnd.observe(byId("gallery-more"));
  } catch (error) {
    notice(error.message);
  } finally {
    if (asked === turn) {
      isLoading = false;
      byId("gallery").setAttribute("aria-busy", "false");
    }
  }
}

function showNothing() {
  byId("gallery").querySelector(".empty")?.remove();
  if (isComplete && !all().length) byId("gallery").append(make("p", { class: "empty" }, nothingFound(wanted)));
}

const askLatest = lastOnly(() => get(`api/results?${query({ limit: LATEST })}`));

/** New results come to the top without moving what is looked at. */
export async function resultsChanged() {
  const found = await askLatest();
  if (found === null) return;
  const isFirst = latest.length === 0;
  const before = new Set(latest.map(({ id }) => id));
  latest = found;
  const list = byId("latest");
  refill(list, latest, () => (latest.length
    ? latest.map((result) => tile(result, { isFresh: !isFirst && !before.has(result.id) }))
    : [make("li", { class: "soft" }, "Nothing has been dreamed yet.")]));
  layOutLatest();
  showNewest(latest[0]);
  if (isBegun) await addNewest();
}

function layOutLatest() {
  const room = byId("latest").clientWidth;
  if (room && latest.length) layOut([...byId("latest").children], latest.map(ratioOf), room, { wanted: 0.8 * rowHeight(room), isEnd: latest.length < LATEST });
}

async function addNewest() {
  if (wanted.sort !== DEFAULTS.sort) return; // they stand elsewhere in another order, and are there when it is asked for again
  const asked = turn;
  const newest = await get(`api/results?${query({ limit: PAGE, ...wanted })}`);
  if (asked !== turn) return;
  if (newest.length === PAGE && !newest.some(({ id }) => known.has(id))) {
    restart(); // more have come than a page holds
    return;
  }
  const fresh = newest.filter(({ id }) => !known.has(id));
  if (!fresh.length) return;
  const first = pages[0];
  if (first === undefined || first.results.length + fresh.length > 2 * PAGE) addPage(fresh, "start");
  else {
    fresh.forEach(({ id }) => known.add(id));
    first.results = [...fresh, ...first.results];
    if (first.isFilled) first.element.prepend(...fresh.map((result) => tileOf(result, true)));
    layOutPage(first);
  }
  showNothing();
}

/** Somebody has marked results, here or in another browser: what is seen is asked for again, the rest when it is seen. */
export async function marksChanged() {
  for (const page of pages) page.isStale = true;
  await Promise.all(pages.filter((page) => page.isFilled).map(refresh));
  if (isBegun && !pages.length && !isLoading) restart();
}

/** Takes what is now between the page before and the page behind. */
async function refresh(page) {
  const asked = turn;
  const at = pages.indexOf(page);
  const before = pages.slice(0, at).findLast(({ results }) => results.length)?.results.at(-1).place;
  const behind = new Set(pages.slice(at + 1).find(({ results }) => results.length)?.results.map(({ id }) => id));
  page.isStale = false;
  const found = await page.ask(`api/results?${query({ limit: PAGE, ...wanted, before })}`);
  if (found === null || asked !== turn || !pages.includes(page)) return;
  const end = found.findIndex(({ id }) => behind.has(id));
  const ids = new Set(page.results.map(({ id }) => id));
  const last = found.findLastIndex(({ id }) => ids.has(id));
  const results = end >= 0 ? found.slice(0, end) : isComplete && page === pages.at(-1) ? found : found.slice(0, last + 1);
  if (JSON.stringify(results) === JSON.stringify(page.results)) return;
  page.results.forEach(({ id }) => known.delete(id));
  results.forEach(({ id }) => known.add(id));
  page.results = results;
  update(page);
  selection.forget((id) => !known.has(id));
  showNothing();
}

/** Gives a page the tiles of its results; those that stay are the same as before, so that nothing flickers. */
function update(page) {
  const tiles = new Map([...page.element.children].map((item) => [item.dataset.id, item]));
  const focused = document.activeElement?.closest(".tile");
  const next = focused && [...page.element.children].indexOf(focused);
  page.element.replaceChildren(...page.results.map((result) => tiles.get(result.id) ?? tileOf(result)));
  page.results.forEach(drawFavourite);
  layOutPage(page);
  if (focused && page.element.children.length) {
    const there = focused.isConnected ? focused : page.element.children[Math.min(next, page.element.children.length - 1)];
    there?.querySelector("a")?.focus({ preventScroll: true });
  }
}
