// Results, newest first. Only the pages near what is seen are in the document: ten thousand results scroll like sixty.

import { addressOf, get, place, query } from "../api.js";
import { byId, make, notice } from "../dom.js";
import { ago, duration, folderName } from "../words.js";

const PAGE = 120;
const LATEST = 8;
const NEAR = "1500px 0px";

const QUIET_MILLISECONDS = 250;

let wanted = { folder: "", search: "" };
let pages = [];
let isLoading = false;
let isComplete = false;
let isBegun = false;
let known = new Set();
let latest = [];
let timer = 0;

/** One result; `sought` is what it was found by, which the viewer goes on through. */
export function tile(result, { isFresh = false, sought = {} } = {}) {
  const item = make("li", { class: isFresh ? "tile fresh" : "tile" },
    make("a", { href: addressOf("result", result.id, sought), "data-key": result.id },
      result.has_picture ? picture(result) : blank(result),
      make("span", { class: "caption" }, make("b", {}, result.result.split("/").pop()),
        make("small", {}, `${folderName(result.folder)} · ${ago(result.finished_at)}`,
          result.seconds === null ? "" : ` · ${duration(result.seconds)}`)),
    ));
  return item;
}

function picture(result) {
  const image = make("img", { src: `thumbnails/${result.id}/after/small`, alt: "", loading: "lazy", decoding: "async", width: 320, height: 240 });
  image.addEventListener("error", () => image.replaceWith(blank(result)));
  return image;
}

const blank = (result) =>
  make("span", { class: "blank" }, result.is_there ? "cannot be shown" : "no longer in the outbox");

export function setUpGallery() {
  byId("gallery-folder").addEventListener("change", (event) => {
    location.hash = addressOf("gallery", "", { ...wanted, folder: event.target.value });
  });
  byId("gallery-search").addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => search(event.target.value), QUIET_MILLISECONDS);
  });
  byId("gallery-more").addEventListener("click", loadOlder);
  atEnd.observe(byId("gallery-more"));
}

/** What is searched stands in the address, which is one for all that is typed. */
function search(text) {
  if (text === wanted.search || place(location.hash).view !== "gallery") return;
  history.replaceState(history.state, "", addressOf("gallery", "", { ...wanted, search: text }));
  showGallery({ ...wanted, search: text }).catch((error) => notice(error.message));
}

export async function showGallery({ folder = "", search = "" }) {
  const isOther = folder !== wanted.folder || search !== wanted.search;
  wanted = { folder, search };
  if (document.activeElement !== byId("gallery-search")) byId("gallery-search").value = search;
  if (isOther || !isBegun) restart();
  const folders = (await get("api/folders")).map((each) => each.folder).filter((each) => each !== ".");
  if (folder && !folders.includes(folder)) folders.push(folder); // it is gone, and its results are still there
  const choice = byId("gallery-folder");
  choice.replaceChildren(new Option("all", ""), ...folders.map((each) => new Option(folderName(each), each)));
  choice.value = wanted.folder;
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
  page.element.replaceChildren(...(isFilled ? page.results.map((result) => tile(result, { sought: wanted })) : []));
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

async function loadOlder() {
  if (isLoading || isComplete || !isBegun) return;
  isLoading = true;
  byId("gallery").setAttribute("aria-busy", "true");
  const asked = wanted;
  const last = pages.at(-1)?.results.at(-1);
  const before = last && `${last.finished_at},${last.id}`;
  try {
    const results = await get(`api/results?${query({ limit: PAGE, ...asked, before })}`);
    if (asked !== wanted) return;
    isComplete = results.length < PAGE;
    if (results.length) addPage(results, "end");
    else if (!pages.length) byId("gallery").append(make("p", { class: "empty" }, nothing()));
    byId("gallery-more").hidden = isComplete;
    atEnd.unobserve(byId("gallery-more")); // it is told of once more, where the end is still near
    atEnd.observe(byId("gallery-more"));
  } catch (error) {
    notice(error.message);
  } finally {
    if (asked === wanted) {
      isLoading = false;
      byId("gallery").setAttribute("aria-busy", "false");
    }
  }
}

function nothing() {
  if (wanted.search) return `No result of this name${wanted.folder ? ` in ${folderName(wanted.folder)}` : ""}.`;
  return "No results yet. What is dreamed appears here by itself.";
}

/** New results come to the top without moving what is looked at. */
export async function resultsChanged() {
  const isFirst = latest.length === 0;
  const before = new Set(latest.map(({ id }) => id));
  latest = await get(`api/results?${query({ limit: LATEST })}`);
  const list = byId("latest");
  list.replaceChildren(...latest.map((result) => tile(result, { isFresh: !isFirst && !before.has(result.id) })));
  if (!latest.length) list.append(make("li", { class: "soft" }, "Nothing has been dreamed yet."));
  if (isBegun) await addNewest();
}

async function addNewest() {
  const asked = wanted;
  const newest = await get(`api/results?${query({ limit: PAGE, ...asked })}`);
  if (asked !== wanted) return;
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
  if (first.isFilled) first.element.prepend(...fresh.map((result) => tile(result, { isFresh: true, sought: wanted })));
}
