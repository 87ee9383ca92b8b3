// A folder's recipe: its own text, judged while it is written, beside controls that change it and follow it.

import { addressOf, get, post, put, query } from "../api.js";
import { byId, make, notice, tried } from "../dom.js";
import { presets } from "../presets/preset.js";
import { lastOnly, whenQuiet } from "../timing.js";
import { folderName } from "../words.js";
import { setUpAtlas } from "./atlas.js";
import { showCards } from "./cards.js";
import { buildControls, showControls } from "./controls.js";
import { commitSliders } from "./inputs.js";
import { showNeeds } from "./needs.js";
import { standingOf } from "./standing.js";
import { changed, setUpTrial, showTrial } from "./trial.js";

const MOST_UNDO = 100;

let shown = null; // { folder, text, mark }
const drafts = new Map(); // by folder: what was written and is not saved, { text, mark }; the mark is of what it was written over
let showing = 0;
let isWrong = false;
let form = null; // what the controls are made from, as JSON
let undo = []; // { text, about }: texts before changes by controls
let judged = null; // the text that the controls stand at, or that closed them
let changing = Promise.resolve(); // until all that controls have changed is in the text

export function setUpRecipes() {
  byId("recipe-text").addEventListener("input", () => {
    undo = [];
    keepDraft();
    judgeLater();
    showButtons();
  });
  setUpAtlas();
  setUpTrial(() => ({ folder: shown?.folder ?? ".", text: byId("recipe-text").value, isWrong }), settled);
  byId("recipe-form").addEventListener("submit", save);
  byId("recipe-undo").addEventListener("click", undoLast);
  byId("recipe-revert").addEventListener("click", revert);
  window.addEventListener("beforeunload", (event) => drafts.size && event.preventDefault());
}

/** Opens a folder's recipe with a text that is not saved yet. */
export async function draftRecipe(folder, text) {
  await settled();
  const isOther = drafts.has(folder) && drafts.get(folder).text !== text;
  if (!isOther || confirm(`The recipe of ${folderName(folder)} has text that is not saved. Replace it?`)) {
    drafts.set(folder, { text, mark: null });
    if (shown?.folder === folder) shown = null;
  }
  const target = addressOf("recipes", folder);
  if (location.hash === target) tried(() => showRecipes(folder));
  else location.hash = target;
}

/** What is written stays as it is until it is saved or reverted, whichever folder is looked at meanwhile. */
function keepDraft() {
  const text = byId("recipe-text").value;
  if (shown === null) return;
  if (text === shown.text) drafts.delete(shown.folder);
  else drafts.set(shown.folder, { text, mark: shown.mark });
  showDrafts();
}

export async function showRecipes(folder) {
  const turn = ++showing;
  await Promise.all([listFolders(folder), makeControls()]);
  if (shown?.folder === folder && drafts.has(folder)) return judge(); // what is being written stays, with its cursor
  const found = await get(`api/recipe?${query({ folder })}`);
  if (turn !== showing) return;
  await settled(); // what controls have changed is of the folder that they were shown for
  if (turn !== showing) return;
  const draft = drafts.get(folder);
  // A text that was written over another one than there is now is refused when it is saved.
  shown = { ...found, mark: draft?.mark ?? found.mark };
  undo = [];
  judged = null;
  byId("recipe-label").textContent = `${folderName(folder)}/recipe.yaml`;
  setText(draft?.text ?? shown.text);
  if (draft) keepDraft();
  tried(() => showTrial(folder));
  await judge();
}

const askFolders = lastOnly(() => get("api/folders"));

async function listFolders(current) {
  const folders = await askFolders();
  if (folders === null) return;
  for (const folder of [current, ...drafts.keys()]) {
    if (!folders.some((each) => each.folder === folder)) folders.push({ folder, has_recipe: false });
  }
  byId("recipe-folders").replaceChildren(...folders.map(({ folder, has_recipe }) =>
    make("a", { href: addressOf("recipes", folder), "data-folder": folder, "aria-current": folder === current ? "page" : null },
      make("span", {}, folderName(folder)), make("small", {}, has_recipe ? "own recipe" : "inherits"), make("small", { class: "unsaved" }))));
  showDrafts();
}

function showDrafts() {
  for (const link of byId("recipe-folders").children) {
    link.querySelector(".unsaved").textContent = drafts.has(link.dataset.folder) ? "not saved" : "";
  }
}

const isChanged = () => shown !== null && byId("recipe-text").value !== shown.text;

function setText(text) {
  const box = byId("recipe-text");
  box.value = text;
  box.readOnly = false;
  box.rows = Math.min(24, Math.max(8, text.split("\n").length + 1));
}

const judgeLater = whenQuiet(judge);

async function judge() {
  judgeLater.stop();
  if (shown === null) return;
  const text = byId("recipe-text").value;
  const folder = shown.folder;
  try {
    const verdict = await post("api/recipe/check", { folder, text });
    if (folder !== shown?.folder || text !== byId("recipe-text").value) return;
    judged = text;
    await showVerdict(verdict);
  } catch (error) {
    tell(error.message, "bad");
  }
}

/**
 * Changes fields in the text, one change after another; what is written meanwhile is changed too, and never lost.
 * `changes()` is asked for what to change once the changes before it are made, and the controls stand at them.
 */
function change(changes, about) {
  commitSliders();
  inTurn(() => changeNow(changes, about));
}

function inTurn(deed) {
  changing = changing.then(deed).catch((error) => {
    notice(error.message);
    return judge(); // the controls go back to what the text says
  });
}

/** Waits until all that controls have changed is in the text. */
async function settled() {
  for (let seen = null; seen !== changing; commitSliders()) {
    seen = changing;
    await seen;
  }
}

async function changeNow(asked, about) {
  const box = byId("recipe-text");
  if (judged !== box.value) await judge();
  if (shown === null) return;
  const { folder } = shown;
  const changes = asked();
  if (changes.length === 0) return;
  for (;;) {
    const text = box.value;
    const changed = await post("api/recipe/change", { folder, text, changes });
    if (folder !== shown?.folder) return;
    if (text !== box.value) continue;
    if (changed.text !== text && undo.at(-1)?.about !== about) undo = [...undo.slice(-MOST_UNDO), { text, about }];
    setText(changed.text);
    judged = changed.text;
    keepDraft();
    await showVerdict(changed);
    return;
  }
}

function undoLast() {
  commitSliders();
  inTurn(() => {
    const last = undo.pop();
    if (last === undefined) return null;
    setText(last.text);
    keepDraft();
    return judge();
  });
}

async function revert() {
  await settled();
  drafts.delete(shown.folder);
  await showRecipes(shown.folder).catch((error) => tell(error.message, "bad"));
}

async function showVerdict(verdict) {
  isWrong = verdict.problem !== null;
  byId("recipe-text").setAttribute("aria-invalid", isWrong);
  if (isWrong) tell(verdict.problem.text, "bad");
  else tell(isChanged() ? "This is right. Pictures from now on are dreamed like this once it is saved." : "", "good");
  showButtons();
  const fields = isWrong ? [] : verdict.standing.fields;
  changed(fields);
  if (!isWrong) {
    showFields(fields);
    showNeeds(shown.folder, byId("recipe-text").value, fields).catch(() => {}); // the trial tells too
  }
  await followControls(verdict);
}

/** Moves the controls to what the text says; a text that is wrong closes them and says why. */
async function followControls(verdict) {
  byId("recipe-closed").hidden = !isWrong;
  byId("recipe-closed").textContent = isWrong ? `The settings rest until the text is right: ${verdict.problem.text}` : "";
  byId("recipe-controls").disabled = isWrong;
  if (isWrong) return;
  const standing = standingOf(verdict);
  showControls(standing);
  byId("recipe-controls").hidden = false;
  showParts(standing);
  await showCards(standing, shown.folder, change);
}

/** Makes the controls, anew where plugins or presets have come or gone. */
async function makeControls() {
  const [made, { presets: known }] = await Promise.all([get("api/recipe/form"), presets()]);
  const key = JSON.stringify([made, known]);
  if (key !== form) buildControls(made, known, change);
  form = key;
}

function showParts(standing) {
  byId("recipe-parts").hidden = !standing.isSequence;
}

function tell(text, kind) {
  const verdict = byId("recipe-verdict");
  verdict.className = `verdict ${kind}`;
  if (verdict.textContent !== text) verdict.textContent = text;
}

function showFields(fields) {
  const row = ({ name, value, origin }) =>
    make("tr", {}, make("td", {}, make("code", {}, name)), make("td", {}, make("code", {}, value)), make("td", { class: "soft" }, origin));
  byId("recipe-fields").replaceChildren(make("table", {},
    make("thead", {}, make("tr", {}, ...["Field", "Value", "From"].map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...fields.map(row))));
}

function showButtons() {
  byId("recipe-save").disabled = !isChanged() || isWrong;
  byId("recipe-revert").disabled = !isChanged();
  byId("recipe-undo").disabled = undo.length === 0;
  byId("recipe-form").classList.toggle("is-changed", isChanged());
}

async function save(event) {
  event.preventDefault();
  const folder = shown?.folder;
  await settled();
  if (shown === null || shown.folder !== folder) return; // another folder is looked at; what was written here stays a draft
  const { mark } = shown;
  const text = byId("recipe-text").value;
  try {
    const saved = await put("api/recipe", { folder, text, mark });
    notice(`Saved: ${folderName(folder)}/recipe.yaml`);
    if (drafts.get(folder)?.text === text) drafts.delete(folder);
    if (shown?.folder !== folder) {
      showDrafts(); // another folder is looked at meanwhile
      return;
    }
    shown = saved;
    keepDraft();
    await listFolders(folder);
    if (text === byId("recipe-text").value) await showVerdict(saved);
    else await judge();
  } catch (error) {
    tell(error.message, "bad");
  }
}
