// What is looked for in the gallery: folder, words, order, favourites or trash. It stands in the address.

import { addressOf, get, place } from "../api.js";
import { byId } from "../dom.js";
import { lastOnly, whenQuiet } from "../timing.js";
import { folderName } from "../words.js";

/** What is shown when nothing else is asked for; an address tells only what differs from it. */
export const DEFAULTS = { folder: "", search: "", sort: "newest", show: "all" };

const told = (sought) => Object.fromEntries(Object.entries(sought).filter(([name, value]) => value !== DEFAULTS[name]));

export const isSame = (one, other) => Object.keys(DEFAULTS).every((name) => one[name] === other[name]);

/** The address of what is sought. */
const galleryAddress = (sought) => addressOf("gallery", "", told(sought));

/** Sets up the controls; `wanted` returns what is shown, `show` shows something else. */
export function setUpSeeking(wanted, show) {
  const go = (changes) => (location.hash = galleryAddress({ ...wanted(), ...changes }));
  byId("gallery-folder").addEventListener("change", (event) => go({ folder: event.target.value }));
  byId("gallery-sort").addEventListener("change", (event) => go({ sort: event.target.value }));
  byId("gallery-show").addEventListener("change", (event) => go({ show: event.target.value }));
  byId("gallery-search").addEventListener("input", whenQuiet(() => search(byId("gallery-search").value)));
  /** What is searched stands in the address, which is one for all that is typed. */
  function search(text) {
    if (text === wanted().search || place(location.hash).view !== "gallery") return;
    const sought = { ...wanted(), search: text };
    history.replaceState(history.state, "", galleryAddress(sought));
    show(sought);
  }
}

const askFolders = lastOnly(() => get("api/folders"));

/** Shows what is sought in the controls. */
export async function showSeeking(sought) {
  if (document.activeElement !== byId("gallery-search")) byId("gallery-search").value = sought.search;
  byId("gallery-sort").value = sought.sort;
  for (const choice of byId("gallery-show").querySelectorAll("input")) choice.checked = choice.value === sought.show;
  const found = await askFolders();
  if (found === null) return;
  const folders = found.map((each) => each.folder).filter((each) => each !== ".");
  if (sought.folder && !folders.includes(sought.folder)) folders.push(sought.folder); // it is gone, and its results are still there
  const choice = byId("gallery-folder");
  choice.replaceChildren(new Option("All folders", ""), ...folders.map((each) => new Option(folderName(each), each)));
  choice.value = sought.folder;
}

/** What to say where nothing is found. */
export function nothingFound({ search, show, folder }) {
  const where = folder ? ` in ${folderName(folder)}` : "";
  if (search) return `Nothing is found by “${search}”${where}. Names of pictures, folders, presets, networks and layers are.`;
  if (show === "favourites") return `No favourites yet${where}. The star on a picture makes it one.`;
  if (show === "trash") return `The trash is empty${where}.`;
  return `No results yet${where}. What is dreamed appears here by itself.`;
}
