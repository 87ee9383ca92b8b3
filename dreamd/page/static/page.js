// The page: which view is shown, and who is told what changes.

import { get, listen, place, post } from "./api.js";
import { byId, tried } from "./dom.js";
import { folderName, plural } from "./words.js";
import { setUpAgain, showAgain, weightsChanged } from "./again/again.js";
import { attentionChanged } from "./attention/attention.js";
import { compareChanged, setUpCompare, showCompare } from "./compare/compare.js";
import { setUpChosen, showChosen } from "./now/chosen.js";
import { watchDrops } from "./now/drop.js";
import { marksChanged, setUpGallery, showGallery, resultsChanged } from "./gallery/gallery.js";
import { showGone, showNow } from "./now/now.js";
import { needsChanged } from "./recipes/needs.js";
import { setUpRecipes, showRecipes } from "./recipes/recipes.js";
import { signOut } from "./login/leaving.js";
import { closeViewer, neighboursChanged, setUpViewer, showResult } from "./viewer/viewer.js";
import { showFetches } from "./weights/fetch.js";

const VIEWS = ["now", "gallery", "attention", "recipes", "again", "compare"];
const WITHIN = { again: "gallery", compare: "gallery" }; // views without a place of their own in the navigation
let status = null;
const told = new Map([["weights", "[]"]]); // by what of the status it is: what the views were told last, as JSON

function showView() {
  const { view, about, fields } = place(location.hash);
  if (view === "result") {
    if (!VIEWS.some((name) => !byId(`view-${name}`).hidden)) {
      reveal("gallery");
      tried(() => showGallery(fields));
    }
    showResult(about, fields);
    return;
  }
  closeViewer();
  const shown = VIEWS.includes(view) ? view : "now";
  reveal(shown);
  const show = { now: showChosen, gallery: () => showGallery(fields), attention: attentionChanged, recipes: () => showRecipes(about || "."), again: () => showAgain(about, fields), compare: () => showCompare(about) }[shown];
  tried(show);
}

function reveal(shown) {
  for (const view of VIEWS) {
    byId(`view-${view}`).hidden = view !== shown;
  }
  for (const link of document.querySelectorAll(".views a")) {
    if (link.getAttribute("href") === `#${WITHIN[shown] ?? shown}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = shown === "now" ? "dreamd" : `dreamd: ${shown}`;
}

function onStatus(values) {
  status = values;
  showState();
  showNow(values);
  compareChanged(values);
  showFetches(values.fetches);
  tell("weights", (values.fetches ?? []).map(({ backbone }) => backbone).sort(), showChosen, needsChanged, weightsChanged);
  tell("results", values.done, resultsChanged, neighboursChanged);
  if (!told.has("marks")) told.set("marks", JSON.stringify(values.marked)); // the views have asked for them just now
  tell("marks", values.marked, marksChanged, resultsChanged, neighboursChanged);
  tell("attention", [values.failed, values.held, values.left], attentionChanged);
}

/** Tells views what is other than before; where one cannot ask for it, all are told again with the next news. */
function tell(what, values, ...views) {
  const now = JSON.stringify(values) ?? "";
  if (told.get(what) === now) return;
  told.set(what, now);
  Promise.all(views.map((view) => view())).catch(() => told.set(what, null));
}

function showState() {
  const isPaused = status.paused?.includes(".");
  const running = status.running ?? 0;
  const words = {
    running: isPaused ? "paused" : running ? `dreaming ${plural(running, "picture")}` : "waiting for pictures",
    starting: "starting",
    draining: "stopping, after what runs",
  };
  const kind = status.state === "running" && !isPaused ? (running ? "dreaming" : "running") : "waiting";
  byId("state").className = `state is-${kind}`;
  byId("state-text").textContent = words[status.state] ?? status.state;
  const button = byId("pause-all");
  button.hidden = status.state !== "running";
  button.textContent = isPaused ? "Resume" : "Pause";
  const reasons = (status.not_ready ?? []).filter((reason) => reason !== "everything is paused");
  tellTrouble(reasons.join("\n"));
}

function tellTrouble(text) {
  byId("trouble").hidden = text === "";
  if (byId("trouble").textContent !== text) byId("trouble").textContent = text;
}

function onGone() {
  byId("state").className = "state is-gone";
  byId("state-text").textContent = "not connected";
  byId("pause-all").hidden = true;
  showGone();
  tellTrouble("dreamd does not answer. It may be starting again; this page goes on by itself.");
}

async function pauseOrResume() {
  const isPaused = status?.paused?.includes(".");
  await tried(() => post(isPaused ? "api/resume" : "api/pause", { folder: "." }));
}

/** Names for every field that asks for a folder. */
async function listFolders() {
  const folders = await get("api/folders");
  byId("folder-names").replaceChildren(
    ...folders.filter(({ folder }) => folder !== ".").map(({ folder }) => new Option(folderName(folder), folder)),
  );
}

byId("pause-all").addEventListener("click", pauseOrResume);
byId("sign-out")?.addEventListener("click", signOut);
byId("drop-folder").addEventListener("focus", () => listFolders().catch(() => {}));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
window.addEventListener("hashchange", showView);

setUpViewer();
setUpGallery();
setUpRecipes();
setUpChosen();
setUpAgain();
setUpCompare();
watchDrops();
showView();
listen(onStatus, onGone);
listFolders().catch(() => {});
