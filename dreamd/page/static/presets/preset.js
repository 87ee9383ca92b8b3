// A preset or a named recipe as a card: what it makes, in words and in a picture, and what it needs that is not here.

import { get } from "../api.js";
import { make } from "../dom.js";

let asked = null;

/** What there is to choose from, and the picture that all small pictures are dreams of; `anew` where weights may have come. */
export function presets({ anew = false } = {}) {
  if (anew || asked === null) asked = load();
  return asked;
}

async function load() {
  try {
    const found = await get("api/presets");
    return { ...found, presets: found.presets.toSorted((one, other) => rank(one) - rank(other)) };
  } catch (error) {
    asked = null;
    throw error;
  }
}

/** Those that can be used at once come first, then those that need weights, then those without a picture. */
const rank = (preset) => (preset.problem ? 4 : 0) + (preset.picture ? 0 : 2) + (missingOf(preset).length ? 1 : 0);

/** What a preset needs that is not here, or why it cannot be used; "" for nothing. */
const noteOf = (preset) => preset.problem || needsOf(preset);

const needsOf = (preset) => (missingOf(preset).length ? `needs ${missingOf(preset).join(", ")}` : "");

const missingOf = ({ networks }) => networks.filter(({ weights }) => weights === "missing").map(({ name }) => name);

/** The card of a preset, which is chosen by an input. */
export function presetCard(preset, input) {
  const missing = missingOf(preset);
  return make("label", { class: "preset", title: preset.problem || preset.words || null, "data-name": preset.name },
    input,
    preset.picture
      ? make("img", { src: preset.picture, alt: "", loading: "lazy", decoding: "async", width: 256, height: 192 })
      : make("span", { class: "no-picture", "aria-hidden": "true" }, missing.length ? `no picture without the weights of ${missing.join(", ")}` : ""),
    make("strong", {}, preset.name || "none"),
    make("span", { class: "soft words" }, preset.problem || preset.words),
    missing.length ? make("span", { class: "chip warm" }, needsOf(preset)) : null);
}

/** The option by which a preset is chosen in a list: it says and allows what the card of it does. */
export function presetOption(name, known) {
  const preset = known.find((each) => each.name === name);
  const note = preset ? noteOf(preset) : "";
  const option = new Option(note ? `${name}: ${note}` : name, name);
  option.disabled = Boolean(preset?.problem);
  return option;
}
