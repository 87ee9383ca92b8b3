// Results, newest first. Only the pages near what is seen are in the document: ten thousand results scroll like sixty.

import { get, query } from "./api.js";
import { byId, make, notice } from "./dom.js";
import { ago, duration, folderName } from "./words.js";

const PAGE = 120;
const LATEST = 8;
const NEAR = "1500px 0px";

let folder = null;
let pages = [];
let isLoading = false;
let isComplete = false;
let isBegun = false;
let known = new Set();

/** Every result that is loaded, the newest first: what the viewer goes through. */
export const loaded = () => (pages.length ? pages.flatMap((page) => page.results) : latest);
let latest = [];

export function tile(result, isFresh = false) {
  const image = make("img", { src: `thumbnails/${result.id}/after/small`, alt: "", loading: "lazy", decoding: "async", width: 320, height: 240 });
  const item = make("li", { class: isFresh ? "tile fresh" : "tile" },
    make("a", { href: `#result/${result.id}`, "data-key": result.id },
      image,
      make("span", { class: "caption" }, make("b", {}, result.result.split("/").pop()),
        make("small", {}, `${folderName(result.folder)} · ${ago(result.finished_at)}`,
          result.seconds === null ? "" : ` · ${duration(result.seconds)}`)),
    ));
  image.addEventListener("error", () => item.classList.add("no-picture"));
  return item;
}

export function setUpGallery() {
  byId("gallery-folder").addEventListener("change", (event) => {
    folder = event.target.value || null;
    restart();
  });
  byId("gallery-more").addEventListener("click", loadOlder);
  atEnd.observe(byId("gallery-more"));
}

export async function showGallery() {
  if (!isBegun) restart();
  const folders = await get("api/folders");
  const choice = byId("gallery-folder");
  choice.replaceChildren(new Option("all", ""), ...folders.map(({ folder }) => new Option(folderName(folder), folder)));
  choice.value = folder ?? "";
}

function restart() {
  isBegun = true;
  near.disconnect();
  pages = [];
  known = new Set();
  isComplete = isLoading = false;
  byId("gallery").replaceChildren();
  loadOlder();
}

const atEnd = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && loadOlder(), { rootMargin: NEAR });

/** Pages far from what is seen leave their place empty, as high as they were. */
const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting, boundingClientRect } of entries) {
    const page = pages.find((each) => each.element === target);
    if (page === undefined || page.isFilled === isIntersecting) continue;
    if (!isIntersecting && target.contains(document.activeElement)) continue;
    if (!isIntersecting) target.style.minHeight = `${boundingClientRect.height}px`;
    fill(page, isIntersecting);
  }
}, { rootMargin: NEAR });

function fill(page, isFilled) {
  page.isFilled = isFilled;
  if (!isFilled) page.element.querySelectorAll("img").forEach((image) => image.removeAttribute("src")); // ends its loading
  page.element.replaceChildren(...(isFilled ? page.results.map((result) => tile(result)) : []));
  if (isFilled) page.element.style.minHeight = "";
}

function addPage(results, where) {
  const element = make("ul", { class: "grid page", "aria-label": "Results" });
  const page = { results, element, isFilled: false };
  results.forEach(({ id }) => known.add(id));
  fill(page, true);
  if (where === "start") {
    pages.unshift(page);
    byId("gallery").prepend(element);
  } else {
    pages.push(page);
    byId("gallery").append(element);
  }
  near.observe(element);
}

export async function loadOlder() {
  if (isLoading || isComplete || !isBegun) return;
  isLoading = true;
  byId("gallery").setAttribute("aria-busy", "true");
  const asked = folder;
  const last = pages.at(-1)?.results.at(-1);
  const before = last && `${last.finished_at},${last.id}`;
  try {
    const results = await get(`api/results?${query({ limit: PAGE, folder, before })}`);
    if (asked !== folder) return;
    isComplete = results.length < PAGE;
    if (results.length) addPage(results, "end");
    else if (!pages.length) byId("gallery").append(make("p", { class: "empty" }, "No results yet. What is dreamed appears here by itself."));
    byId("gallery-more").hidden = isComplete;
    atEnd.unobserve(byId("gallery-more")); // it is told of once more, where the end is still near
    atEnd.observe(byId("gallery-more"));
  } catch (error) {
    notice(error.message);
  } finally {
    isLoading = false;
    byId("gallery").setAttribute("aria-busy", "false");
  }
}

/** New results come to the top without moving what is looked at. */
export async function resultsChanged() {
  const isFirst = latest.length === 0;
  const before = new Set(latest.map(({ id }) => id));
  latest = await get(`api/results?${query({ limit: LATEST })}`);
  const list = byId("latest");
  list.replaceChildren(...latest.map((result) => tile(result, !isFirst && !before.has(result.id))));
  if (!latest.length) list.append(make("li", { class: "soft" }, "Nothing has been dreamed yet."));
  if (isBegun) await addNewest();
}

async function addNewest() {
  const asked = folder;
  const newest = await get(`api/results?${query({ limit: PAGE, folder })}`);
  if (asked !== folder) return;
  if (newest.length === PAGE && !newest.some(({ id }) => known.has(id))) {
    restart(); // more have come than a page holds
    return;
  }
  const fresh = newest.filter(({ id }) => !known.has(id));
  if (!fresh.length) return;
  byId("gallery").querySelector(".empty")?.remove();
  const first = pages[0];
  if (first === undefined || first.results.length + fresh.length > 2 * PAGE) {
    addPage(fresh, "start");
    return;
  }
  fresh.forEach(({ id }) => known.add(id));
  first.results = [...fresh, ...first.results];
  if (first.isFilled) first.element.prepend(...fresh.map((result) => tile(result, true)));
}
