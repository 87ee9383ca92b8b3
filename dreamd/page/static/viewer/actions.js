// What can be done with the result that is shown: favourite, share before and after, download, delete or restore.

import { byId, notice, tried } from "../dom.js";
import { remove, restore, star } from "../gallery/deeds.js";
import { resultOf } from "../pictures.js";

const TOGETHER = ["side", "split"];

let shown = () => null;
let shared = null; // a file of before and after, ready to be given to another program

/** Sets up the buttons; `result` returns what is shown, and `gone` is called when it was deleted or restored. */
export function setUpActions(result, { gone }) {
  shown = result;
  byId("viewer-star").addEventListener("click", favour);
  byId("viewer-delete").addEventListener("click", () => put(remove, gone));
  byId("viewer-restore").addEventListener("click", () => put(restore, gone));
  byId("viewer-share").addEventListener("toggle", () => byId("viewer-share").open && offer());
  byId("viewer-send").addEventListener("click", send);
  byId("viewer").addEventListener("keydown", (event) => {
    if (event.target.matches("input, pre, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "f") favour();
    if (event.key === "Delete" && !shown().put_away) put(remove, gone);
  });
  document.addEventListener("click", (event) => event.target.closest("#viewer-share") || (byId("viewer-share").open = false));
}

export function showActions(result) {
  byId("viewer-star").setAttribute("aria-pressed", String(result.is_favourite));
  byId("viewer-delete").hidden = Boolean(result.put_away);
  byId("viewer-restore").hidden = result.put_away !== "trashed";
  byId("viewer-download").href = resultOf(result.id);
  byId("viewer-download").download = result.result.split("/").pop();
  byId("viewer-download").hidden = !result.is_there || !result.is_known;
  const isAlone = !result.keeps_original || byId("compare").classList.contains("single");
  byId("viewer-share").hidden = byId("viewer-download").hidden || isAlone;
  if (byId("viewer-share").dataset.job !== result.id) byId("viewer-share").open = false;
  byId("viewer-share").dataset.job = result.id;
}

async function favour() {
  const result = shown();
  result.is_favourite = !result.is_favourite;
  showActions(result);
  await tried(() => star([result.id], result.is_favourite));
}

async function put(deed, gone) {
  const { id } = shown();
  if ((await tried(() => deed([id]))) && shown()?.id === id) gone();
}

const sharedOf = (id, layout) => `${resultOf(id)}/share/${layout}`;

/** Shows the two pictures of before and after, to be chosen by looking. */
function offer() {
  const { id, result } = shown();
  const stem = result.split("/").pop().replace(/\.[^.]*$/, "");
  for (const layout of TOGETHER) {
    const link = byId(`viewer-share-${layout}`);
    link.href = sharedOf(id, layout);
    link.download = `${stem}-before-after.jpg`;
    link.querySelector("img").src = link.href;
  }
  prepare(id, `${stem}-before-after.jpg`).catch(() => {}); // then it can be downloaded only, or dreamd is gone, which the page tells
}

/** A browser lets a file be shared only right after a click, so that it is fetched before. */
async function prepare(id, name) {
  shared = null;
  byId("viewer-send").hidden = true;
  if (!navigator.canShare) return;
  const response = await fetch(sharedOf(id, TOGETHER[0]));
  if (!response.ok || shown()?.id !== id) return;
  const file = new File([await response.blob()], name, { type: "image/jpeg" });
  if (!navigator.canShare({ files: [file] })) return;
  shared = file;
  byId("viewer-send").hidden = false;
}

async function send() {
  try {
    await navigator.share({ files: [shared] });
  } catch (error) {
    if (error.name !== "AbortError") notice(error.message); // who changes their mind knows it
  }
}
