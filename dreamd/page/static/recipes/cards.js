// Presets as cards with pictures of what they make. Choosing one sets what the folder's recipe extends.

import { get } from "../api.js";
import { byId, make, refill } from "../dom.js";

let cards = null;
let shownFor = null; // the folder whose card was brought into sight

/** Fetches the cards once. */
async function load() {
  if (cards === null) {
    cards = await get("api/presets");
    cards.presets.sort((one, other) => rank(one) - rank(other));
  }
  return cards;
}

/** Those that can be used at once come first, then those that need weights, then those without a picture. */
const rank = ({ picture, networks, problem }) =>
  (problem ? 4 : 0) + (picture ? 0 : 2) + (networks.some(({ weights }) => weights === "missing") ? 1 : 0);

/** Shows the cards, with the chosen one marked. */
export async function showCards(standing, folder, change) {
  const { presets, undreamed } = await load();
  const chosen = standing.extends ?? "";
  const none = { name: "", words: folder === "." ? "No preset: the defaults of the config." : "No preset: what the folder above it does.", picture: undreamed, networks: [] };
  refill(byId("recipe-cards"), presets, () => [none, ...presets].map((preset) => card(preset, change)));
  for (const input of byId("recipe-cards").querySelectorAll("input")) input.checked = input.value === chosen;
  showOver(standing, chosen, change);
  if (shownFor !== folder) reveal();
  shownFor = folder;
}

function card(preset, change) {
  const needs = preset.networks.filter(({ weights }) => weights === "missing").map(({ name }) => name);
  const input = make("input", {
    type: "radio", name: "preset", class: "unseen", value: preset.name, disabled: Boolean(preset.problem),
    onchange: () => change([preset.name ? { path: ["extends"], value: preset.name } : { path: ["extends"] }], "extends"),
  });
  return make("label", { class: "preset", title: preset.problem || preset.words || null },
    input,
    preset.picture ? make("img", { src: preset.picture, alt: "", loading: "lazy", width: 256, height: 192 }) : make("span", { class: "no-picture", "aria-hidden": "true" }),
    make("strong", {}, preset.name || "none"),
    make("span", { class: "soft words" }, preset.problem || preset.words),
    needs.length ? make("span", { class: "chip warm" }, `needs ${needs.join(", ")}`) : null);
}

/** Says what goes over the preset, which then looks another way than its card, and offers to take it out. */
function showOver(standing, chosen, change) {
  const own = standing.own.filter((path) => path !== "extends");
  const told = own.filter((path) => !own.some((other) => other.startsWith(`${path}.`)));
  const fields = [...new Set(own.map((path) => path.split(".")[0]))];
  const element = byId("cards-over");
  element.hidden = own.length === 0 || chosen === "";
  refill(element, [told, chosen], () => [
    `${told.join(", ")} ${told.length === 1 ? "goes" : "go"} over ${chosen} here. `,
    make("button", { type: "button", class: "quiet small", onclick: () => change(fields.map((path) => ({ path: [path] })), "all") }, `Take ${chosen} as it is`),
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
