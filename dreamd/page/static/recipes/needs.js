// Weights that the recipe which is written would need and that are not here, each with a button that fetches them.

import { post } from "../api.js";
import { byId } from "../dom.js";
import { showFetchBoxes } from "../weights/fetch.js";

let last = null; // { folder, text } that was asked about
let networks = ""; // which the answer was about

/** Shows what a right text needs; asks only where its networks are others than before. */
export async function showNeeds(folder, text, fields) {
  const now = JSON.stringify([folder, fields.filter(({ name }) => /(^|\.)backbone\./.test(name)).map(({ name, value }) => [name, value])]);
  last = { folder, text };
  if (now === networks) return;
  networks = now;
  await needsChanged();
}

/** Asks anew, since weights have come or gone. */
export async function needsChanged() {
  if (last === null) return;
  const asked = networks;
  const missing = await post("api/weights", last);
  if (asked === networks) showFetchBoxes(byId("recipe-weights"), missing);
}
