// A folder's recipe: its own text, judged while it is written, and what it comes to with what it inherits.

import { encode, get, post, put, query } from "./api.js";
import { byId, make, notice } from "./dom.js";
import { folderName } from "./words.js";

const QUIET_MILLISECONDS = 250;

let shown = null; // { folder, text, mark }
let draft = null; // a text that is to replace what the folder has, once it is shown
let timer = 0;
let isWrong = false;

export function setUpRecipes() {
  byId("recipe-text").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(judge, QUIET_MILLISECONDS);
    showButtons();
  });
  byId("recipe-form").addEventListener("submit", save);
  byId("recipe-revert").addEventListener("click", () => {
    byId("recipe-text").value = shown.text;
    judge();
  });
  window.addEventListener("beforeunload", (event) => isChanged() && event.preventDefault());
}

/** Opens a folder's recipe with a text that is not saved yet. */
export function draftRecipe(folder, text) {
  draft = { folder, text };
  const target = `#recipes/${encode(folder)}`;
  if (location.hash === target) showRecipes(folder);
  else location.hash = target;
}

export async function showRecipes(folder) {
  await listFolders(folder);
  if (draft?.folder !== folder && shown?.folder === folder && isChanged()) return; // what is being written stays
  try {
    shown = await get(`api/recipe?${query({ folder })}`);
  } catch (error) {
    notice(error.message);
    return;
  }
  byId("recipe-label").textContent = `${folderName(folder)}/recipe.yaml`;
  byId("recipe-text").value = draft?.folder === folder ? draft.text : shown.text;
  draft = null;
  await judge();
}

async function listFolders(current) {
  const folders = await get("api/folders");
  if (!folders.some(({ folder }) => folder === current)) folders.push({ folder: current, has_recipe: false });
  byId("recipe-folders").replaceChildren(...folders.map(({ folder, has_recipe }) =>
    make("a", { href: `#recipes/${encode(folder)}`, "aria-current": folder === current ? "page" : null },
      folderName(folder), make("small", {}, has_recipe ? "own recipe" : "inherits"))));
  const names = await get("api/recipes");
  byId("recipe-extend").textContent = `extends: ${names.map(({ name }) => name).join(", ")}`;
}

const isChanged = () => shown !== null && byId("recipe-text").value !== shown.text;

async function judge() {
  clearTimeout(timer);
  const text = byId("recipe-text").value;
  const folder = shown.folder;
  try {
    const verdict = await post("api/recipe/check", { folder, text });
    if (folder !== shown.folder || text !== byId("recipe-text").value) return;
    showVerdict(verdict);
  } catch (error) {
    tell(error.message, "bad");
  }
}

function showVerdict({ fields, problem }) {
  isWrong = problem !== null;
  byId("recipe-text").setAttribute("aria-invalid", isWrong);
  if (isWrong) tell(problem.text, "bad");
  else tell(isChanged() ? "This is right. Pictures from now on are dreamed like this once it is saved." : "", "good");
  if (!isWrong) showFields(fields);
  showButtons();
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
}

async function save(event) {
  event.preventDefault();
  try {
    const text = byId("recipe-text").value;
    shown = await put("api/recipe", { folder: shown.folder, text, mark: shown.mark });
    notice(`Saved: ${folderName(shown.folder)}/recipe.yaml`);
    await listFolders(shown.folder);
    showVerdict(shown);
  } catch (error) {
    tell(error.message, "bad");
  }
}
