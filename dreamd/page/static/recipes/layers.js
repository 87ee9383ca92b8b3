// Which layers of the network are looked at: chips, each with its weight, and a field to add one by its name.

import { make, refill, tried } from "../dom.js";
import { openAtlas } from "./atlas.js";
import { listOfEntries } from "./entries.js";
import { nameOf } from "./names.js";

/** The control of `layers`. `rewrite(layersNow)` is called with what tells the layers once the changes before are made. */
export function layersControl(id, rewrite) {
  const list = listOfEntries(rewrite);
  const chips = make("ul", { class: "layer-chips" });
  const name = make("input", { id, type: "text", autocomplete: "off", spellcheck: "false", placeholder: "a layer's name", "aria-label": "Add a layer by its name" });
  const add = () => {
    const wanted = name.value.trim();
    if (!wanted) return;
    name.value = "";
    list.add(/^\d+$/.test(wanted) ? Number(wanted) : wanted);
  };
  name.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    add();
  });
  const choose = () => tried(() => openAtlas(backbone, list.entries(), use));
  const use = (chosen) => rewrite(() => chosen.map((each) => list.entries().find((one) => nameOf(one) === nameOf(each)) ?? each));
  let backbone = "";
  return {
    isGroup: true,
    element: make("div", { class: "layers-input" }, chips,
      make("div", { class: "row tight" },
        make("button", { type: "button", onclick: choose }, "Choose by looking…"), name, make("button", { type: "button", class: "quiet", onclick: add }, "Add"))),
    show(value, standing) {
      const layers = value ?? [];
      list.show(layers);
      backbone = standing.value("backbone.name");
      refill(chips, layers, () => (layers.length ? layers.map((layer, at) => layerChip(layer, at, list)) : [make("li", { class: "soft" }, "the network's own default")]));
    },
  };
}

/** A layer of a list with its weight, and the way out of the list. */
function layerChip(layer, at, list) {
  const weigh = ({ target: { valueAsNumber: weight } }) => Number.isFinite(weight) && list.set(at, (each) => weighted(each, weight));
  return make("li", { class: "layer-chip" },
    make("code", {}, nameOf(layer)),
    make("label", {}, "weight ", make("input", {
      type: "number", step: "any", value: weightOf(layer), class: "number", "aria-label": `Weight of ${nameOf(layer)}`, onchange: weigh,
    })),
    make("button", {
      type: "button", class: "quiet small", "aria-label": `Take out ${nameOf(layer)}`, disabled: list.entries().length === 1,
      onclick: () => list.takeOut(at),
    }, "✕"));
}

const weightOf = (layer) => (typeof layer === "object" ? (layer.weight ?? 1) : 1);

/** A layer with another weight, in its shortest form. */
function weighted(layer, weight) {
  const { weight: _, ...rest } = typeof layer === "object" ? layer : { name: layer };
  if (weight !== 1) return { ...rest, weight };
  return Object.keys(rest).length > 1 ? rest : rest.name;
}
