// Files that dreamd made: a sidecar, or a picture with its recipe in it. Their recipe can be used before they are dreamed.

import { look } from "../api.js";
import { byId, notice } from "../dom.js";
import { draftRecipe } from "../recipes/recipes.js";
import { folderName } from "../words.js";

const MARK = new TextEncoder().encode("dreamd");
const SIDECAR = /\.json$/i;
const END_BYTES = 2 << 20;

/** Asks about each file that carries a recipe. `send` sends files with a recipe, or with null those that are dreamed as they are. */
export async function sortOut(files, folder, send) {
  const told = new Set(); // pictures whose sidecar has told their recipe
  for (const file of sidecarsFirst(files)) {
    if (told.has(file)) continue; // it is sent by now, or not wanted
    const { recipe, problem } = await carriedBy(file);
    if (problem) notice(`${file.name} was made by dreamd, but its recipe cannot be used here: ${problem}`);
    const isSidecar = SIDECAR.test(file.name);
    if (recipe === null) {
      if (!(isSidecar && problem)) send([file], null);
      continue;
    }
    const picture = isSidecar ? files.find(({ name }) => `${name}.json` === file.name) : file;
    if (picture) told.add(picture);
    const isPlain = await ask(file, picture, recipe, folder, send);
    if (picture && isPlain) send([picture], null);
  }
}

const sidecarsFirst = (files) => [...files.filter(({ name }) => SIDECAR.test(name)), ...files.filter(({ name }) => !SIDECAR.test(name))];

/** What a file carries. The server looks into it, if there may be something to find. */
async function carriedBy(file) {
  const nothing = { recipe: null, problem: null };
  try {
    return SIDECAR.test(file.name) || (await holdsMark(file)) ? await look(file) : nothing;
  } catch {
    return nothing; // then it is sent like any file, and what is wrong is told there
  }
}

/** Whether a recipe may be in a picture: it stands near its beginning or its end. */
async function holdsMark(file) {
  const end = Math.max(END_BYTES, file.size - END_BYTES);
  const data = new Uint8Array(await new Blob([file.slice(0, END_BYTES), file.slice(end)]).arrayBuffer());
  for (let found = data.indexOf(MARK[0]); found >= 0; found = data.indexOf(MARK[0], found + 1)) {
    if (MARK.every((byte, index) => data[found + index] === byte)) return true;
  }
  return false;
}

/** Asks what is done with a recipe; tells whether the picture is dreamed like any other. */
function ask(file, picture, recipe, folder, send) {
  const dialog = byId("carried");
  byId("carried-title").textContent = `${file.name} was made by dreamd`;
  byId("carried-words").textContent = "Use its recipe?";
  byId("carried-recipe").textContent = recipe;
  byId("carried-edit").textContent = `Edit it as the recipe of ${folderName(folder)}`;
  byId("carried-plain").hidden = picture === undefined;
  return new Promise((resolve) => {
    const end = (isPlain) => {
      dialog.removeEventListener("close", leave);
      byId("carried-edit").onclick = byId("carried-plain").onclick = byId("carried-files").onchange = null;
      dialog.close();
      resolve(isPlain);
    };
    const leave = () => end(false);
    dialog.addEventListener("close", leave);
    byId("carried-plain").onclick = () => end(true);
    byId("carried-edit").onclick = () => {
      end(false);
      draftRecipe(folder, recipe);
    };
    byId("carried-files").onchange = () => {
      const chosen = [...byId("carried-files").files];
      byId("carried-files").value = "";
      end(false);
      send(chosen, recipe);
    };
    dialog.showModal();
  });
}
