// Presets and named recipes as cards: what each makes, and whether its network's weights are here.

import { get } from "../api.js";
import { make } from "../dom.js";

let asked = null;

/** What there is to choose from; asked once for a view that is opened. */
export function presets({ anew = false } = {}) {
  if (anew || asked === null) asked = get("api/presets").catch((error) => { asked = null; throw error; });
  return asked;
}

/** A card that is chosen by a tick. */
export function card(preset, { isChosen = false } = {}) {
  const missing = preset.networks.filter(({ weights }) => weights === "missing").map(({ name }) => name);
  const box = make("input", { type: "checkbox", name: "recipe", value: preset.name, checked: isChosen, disabled: preset.problem !== null });
  return make("label", { class: "wish", "data-name": preset.name },
    box,
    picture(preset, missing),
    make("span", { class: "about" },
      make("b", {}, preset.name),
      missing.length && preset.picture ? make("span", { class: "chip warm" }, `needs ${missing.join(", ")}`) : null,
      make("small", {}, preset.problem ?? preset.words)),
  );
}

function picture(preset, missing) {
  if (preset.picture) return make("img", { src: preset.picture, alt: "", loading: "lazy", decoding: "async", width: 256, height: 192 });
  const words = preset.kind === "named" ? "a recipe of yours" : missing.length ? `needs the weights of ${missing.join(", ")}, which are not here` : "no picture of it";
  return make("span", { class: "blank", "aria-hidden": "true" }, words);
}

/** The card of a recipe that is written here. */
export const ownCard = (isChosen) => make("label", { class: "wish own", "data-name": "" },
  make("input", { type: "checkbox", id: "again-own", checked: isChosen }),
  make("span", { class: "blank", "aria-hidden": "true" }, "{ }"),
  make("span", { class: "about" }, make("b", {}, "its own, edited"), make("small", {}, "The recipe that it was dreamed by, for you to change.")));

/** The picture that all cards are dreams of. */
export const undreamed = (address) => make("figure", { class: "wish undreamed" },
  make("img", { src: address, alt: "", width: 256, height: 192 }),
  make("figcaption", { class: "about" }, make("b", {}, "undreamed"), make("small", {}, "What the pictures beside it are dreams of.")));
