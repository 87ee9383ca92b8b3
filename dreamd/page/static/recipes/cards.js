// Presets as cards with pictures of what they make. Choosing one sets what the folder's recipe extends.

import { byId, make, refill } from "../dom.js";
import { presetCard, presets } from "../presets/preset.js";

let shownFor = null; // the folder whose card was brought into sight

/** Shows the cards, with the chosen one marked. */
export async function showCards(standing, folder, change) {
  const { presets: known, undreamed } = await presets();
  const chosen = standing.extends ?? "";
  const none = { name: "", words: folder === "." ? "No preset: the defaults of the config." : "No preset: what the folder above it does.", picture: undreamed, networks: [] };
  refill(byId("recipe-cards"), known, () => [none, ...known].map((preset) => card(preset, change)));
  for (const input of byId("recipe-cards").querySelectorAll("input")) input.checked = input.value === chosen;
  showOver(standing, chosen, change);
  if (shownFor !== folder) reveal();
  shownFor = folder;
}

const card = (preset, change) => presetCard(preset, make("input", {
  type: "radio", name: "preset", class: "unseen", value: preset.name, disabled: Boolean(preset.problem),
  onchange: () => change(() => [preset.name ? { path: ["extends"], value: preset.name } : { path: ["extends"] }], "extends"),
}));

/** Says what goes over the preset, which then looks another way than its card, and offers to take it out. */
function showOver(standing, chosen, change) {
  const own = standing.own.filter((path) => path !== "extends");
  const told = own.filter((path) => !own.some((other) => other.startsWith(`${path}.`)));
  const fields = [...new Set(own.map((path) => path.split(".")[0]))];
  const element = byId("cards-over");
  element.hidden = own.length === 0 || chosen === "";
  refill(element, [told, chosen], () => [
    `${told.join(", ")} ${told.length === 1 ? "goes" : "go"} over ${chosen} here. `,
    make("button", { type: "button", class: "quiet small", onclick: () => change(() => fields.map((path) => ({ path: [path] })), "all") }, `Take ${chosen} as it is`),
  ]);
}

/** Brings the chosen card into sight, without moving the page. */
function reveal() {
  const box = byId("recipe-cards");
  const card = box.querySelector("label:has(input:checked)");
  if (card === null) return;
  const [from, to] = [box.getBoundingClientRect(), card.getBoundingClientRect()];
  box.scrollBy(to.left - from.left - (from.width - to.width) / 2, to.top - from.top - (from.height - to.height) / 2);
}
