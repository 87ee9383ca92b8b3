// Pictures dropped on the page, or chosen from a file dialog, are sent one after another into a folder of the inbox.

import { get, upload } from "../api.js";
import { byId, make, tried } from "../dom.js";
import { folderName, folderPath, size } from "../words.js";
import { sortOut } from "./carried.js";

const SHOWN_SECONDS = 8;
const waiting = [];
let isSending = false;
let limits = null; // what dreamd takes
let sorting = Promise.resolve();

/** The most bytes of a file: a film may be larger than a picture. */
async function largest({ name }) {
  limits ??= await get("api/status");
  return limits.film_endings.some((ending) => name.toLowerCase().endsWith(ending)) ? limits.max_film_bytes : limits.max_bytes;
}

/** Takes what is dropped: pictures to dream, and what dreamd made, whose recipe may be used; that is asked one by one. */
function take(files) {
  if (files.length) location.hash = "#now";
  const folder = folderPath(byId("drop-folder").value);
  sorting = sorting.then(() => tried(() => sortOut(files, folder, (others, recipe) => enqueue(others, folder, recipe))));
}

function enqueue(files, folder, recipe) {
  for (const file of files) {
    const bar = make("progress", { max: 1, value: 0, "aria-label": `Sending ${file.name}` });
    const line = make("li", {}, make("span", { class: "what" }, file.name), bar, make("span", { class: "soft" }, size(file.size)));
    byId("uploads").append(line);
    waiting.push({ file, folder, recipe, line, bar });
  }
  sendNext();
}

async function sendNext() {
  const next = waiting[0];
  if (isSending || next === undefined) return;
  isSending = true;
  waiting.shift();
  const { file, folder, recipe, line, bar } = next;
  try {
    const most = await largest(file);
    if (file.size > most) throw new Error(`it is larger than ${size(most)}`);
    const picture = await upload(file, folder, recipe, (share) => (bar.value = share));
    bar.value = 1;
    line.lastChild.textContent = `in ${folderName(folder)}`;
    line.firstChild.textContent = picture.split("/").pop();
    setTimeout(() => line.remove(), SHOWN_SECONDS * 1000);
  } catch (error) {
    bar.remove();
    line.lastChild.remove();
    const dismiss = make("button", { type: "button", class: "quiet", onclick: () => line.remove() }, "Dismiss");
    line.append(make("span", { class: "bad", role: "alert" }, error.message, " ", dismiss));
  }
  isSending = false;
  sendNext();
}

/** Files that are dragged; text and links are not. */
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

export function watchDrops() {
  let depth = 0;
  const veil = byId("veil");
  window.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    veil.hidden = false;
  });
  window.addEventListener("dragleave", (event) => {
    if (!carriesFiles(event)) return;
    depth -= 1;
    veil.hidden = depth <= 0;
  });
  window.addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    const isTaken = event.defaultPrevented; // by a place on the page that is for pictures of its own
    event.preventDefault();
    depth = 0;
    veil.hidden = true;
    if (!isTaken) take([...event.dataTransfer.files]);
  });
  for (const input of [byId("drop-files"), byId("drop-camera")]) {
    input.addEventListener("change", () => {
      take([...input.files]);
      input.value = "";
    });
  }
  byId("add-pictures").addEventListener("click", () => {
    location.hash = "#now"; // where the folder stands that they go to
    byId("drop-files").click();
  });
}
