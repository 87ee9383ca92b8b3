// Which layers of the network are looked at: chips, each with its weight, and a field to add one by its name.

import { make, refill, tried } from "../dom.js";
import { openAtlas } from "./atlas.js";
import { nameOf } from "./names.js";

/** The control of `layers`. */
export function layersControl(id, commit) {
  const chips = make("ul", { class: "layer-chips" });
  const name = make("input", { id, type: "text", autocomplete: "off", spellcheck: "false", placeholder: "a layer's name", "aria-label": "Add a layer by its name" });
  const add = () => {
    const wanted = name.value.trim();
    if (!wanted) return;
    name.value = "";
    commit([...layers, /^\d+$/.test(wanted) ? Number(wanted) : wanted]);
  };
  name.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    add();
  });
  const choose = () => tried(() => openAtlas(backbone, layers, commit));
  let layers = [];
  let backbone = "";
  const set = (at, weight) => commit(layers.map((each, index) => (index === at ? weighted(each, weight) : each)));
  const chip = (layer, at) => make("li", { class: "layer-chip" },
    make("code", {}, nameOf(layer)),
    make("label", {}, "weight ", make("input", {
      type: "number", step: "any", value: weightOf(layer), class: "number", "aria-label": `Weight of ${nameOf(layer)}`,
      onchange: (event) => Number.isFinite(event.target.valueAsNumber) && set(at, event.target.valueAsNumber),
    })),
    make("button", {
      type: "button", class: "quiet small", "aria-label": `Take out ${nameOf(layer)}`, disabled: layers.length === 1,
      onclick: () => commit(layers.filter((_, index) => index !== at)),
    }, "✕"));
  return {
    isGroup: true,
    element: make("div", { class: "layers-input" }, chips,
      make("div", { class: "row tight" },
        make("button", { type: "button", onclick: choose }, "Choose by looking…"), name, make("button", { type: "button", class: "quiet", onclick: add }, "Add"))),
    show(value, standing) {
      layers = value ?? [];
      backbone = standing.value("backbone.name");
      refill(chips, layers, () => (layers.length ? layers.map(chip) : [make("li", { class: "soft" }, "the network's own default")]));
    },
  };
}

const weightOf = (layer) => (typeof layer === "object" ? (layer.weight ?? 1) : 1);

/** A layer with another weight, in its shortest form. */
function weighted(layer, weight) {
  const { weight: _, ...rest } = typeof layer === "object" ? layer : { name: layer };
  if (weight !== 1) return { ...rest, weight };
  return Object.keys(rest).length > 1 ? rest : rest.name;
}
