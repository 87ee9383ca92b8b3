// Before a picture is dropped: by what recipe the chosen folder dreams, and what that needs which is not here.

import { addressOf, get, query } from "../api.js";
import { byId, make } from "../dom.js";
import { whenQuiet } from "../timing.js";
import { showFetchBoxes } from "../weights/fetch.js";
import { folderName, folderPath, printable } from "../words.js";

const PRESET = /^preset (.+):\d+$/;

let asked = 0;

export function setUpChosen() {
  byId("drop-folder").addEventListener("input", whenQuiet(showChosen));
}

/** Names the recipe of the folder that stands in the field. */
export async function showChosen() {
  const turn = ++asked;
  const folder = folderPath(byId("drop-folder").value);
  const said = await get(`api/recipe?${query({ folder })}`).then(words, (error) => error.message);
  const missing = await get(`api/weights?${query({ folder })}`).catch(() => []);
  if (turn !== asked) return;
  showFetchBoxes(byId("drop-weights"), missing);
  const link = make("a", { href: addressOf("recipes", folder) }, "Recipe");
  byId("drop-recipe").replaceChildren(`${folderName(folder)}: ${said} · `, link);
}

function words({ standing, problem }) {
  if (problem !== null) return "its recipe is wrong, and holds what is dropped";
  const { fields } = standing;
  const field = (name) => fields.find((each) => each.name === name);
  if (fields.some(({ name }) => name.startsWith("sequence["))) return "a sequence of dreams";
  const backbone = field("backbone.name");
  if (!backbone) return "a recipe of its own";
  const layers = fields.filter(({ name }) => /^layers\[\d+\]\.name$/.test(name));
  const preset = [layers[0], backbone].map((each) => each?.origin.match(PRESET)?.[1]).find(Boolean);
  const where = layers.map(({ value }) => JSON.parse(value)).join(", ");
  return printable([preset && `preset ${preset}`, `network ${JSON.parse(backbone.value)}`, where && `at ${where}`].filter(Boolean).join(", "));
}
