// What a picture can be dreamed again with, as cards of which several are chosen.

import { make } from "../dom.js";
import { presetCard } from "../presets/preset.js";

/** A card that is chosen by a tick. */
export const card = (preset, isChosen) => presetCard(preset, make("input", {
  type: "checkbox", name: "recipe", value: preset.name, checked: isChosen, disabled: Boolean(preset.problem),
}));

/** The card of the recipe that the picture was dreamed by, or failed by. */
export const ownCard = (isChosen, hasFailed) => make("label", { class: "preset own" },
  make("input", { type: "checkbox", id: "again-own", checked: isChosen }),
  make("span", { class: "no-picture", "aria-hidden": "true" }, "{ }"),
  make("strong", {}, "its own, edited"),
  make("span", { class: "soft words" }, `The recipe that it ${hasFailed ? "failed" : "was dreamed"} by, for you to change.`));

/** The picture that the pictures of all cards are dreams of. */
export const undreamed = (address) => make("figure", { class: "preset undreamed" },
  make("img", { src: address, alt: "", width: 256, height: 192 }),
  make("strong", {}, "undreamed"),
  make("span", { class: "soft words" }, "What the pictures beside it are dreams of."));
