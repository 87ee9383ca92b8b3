// Layers by looking: what each layer of a network makes of one picture, to choose one or several.

import { get, post, query, remove } from "../api.js";
import { byId, make, tried } from "../dom.js";
import { nameOf } from "./names.js";

const POLL_MILLISECONDS = 700;

let backbone = "";
let chosen = new Map(); // by name: the layer as the recipe writes it
let use = null;
let timer = 0;

export function setUpAtlas() {
  byId("atlas-form").addEventListener("submit", (event) => {
    event.preventDefault();
    byId("atlas").close();
    use([...chosen.values()]);
  });
  byId("atlas-close").addEventListener("click", () => byId("atlas").close());
  byId("atlas-make").addEventListener("click", makeIt);
  byId("atlas-cancel").addEventListener("click", () => tried(() => remove("api/atlas")));
  byId("atlas").addEventListener("close", () => clearTimeout(timer));
}

/** Opens the atlas of a network, with the layers that the recipe has; `onUse` is called with those that are chosen. */
export async function openAtlas(name, layers, onUse) {
  backbone = name;
  chosen = new Map(layers.map((layer) => [String(nameOf(layer)), layer]));
  use = onUse;
  byId("atlas-title").textContent = `What the layers of ${backbone} make`;
  byId("atlas-tiles").replaceChildren();
  byId("atlas").showModal();
  await look();
}

async function look() {
  clearTimeout(timer);
  const of = backbone;
  try {
    const found = await get(`api/atlas?${query({ backbone: of })}`);
    if (of !== backbone || !byId("atlas").open) return;
    show(found);
    if (found.making) timer = setTimeout(look, POLL_MILLISECONDS);
  } catch (error) {
    byId("atlas-words").textContent = error.message;
  }
}

function show({ tiles, making, problem }) {
  const isMine = making?.backbone === backbone;
  const isFirst = byId("atlas-tiles").childElementCount === 0;
  if (!isMine || isFirst) byId("atlas-tiles").replaceChildren(...tiles.map(tile));
  if (isFirst) byId("atlas-tiles").querySelector("label:has(input:checked)")?.scrollIntoView({ block: "center" });
  byId("atlas-progress").hidden = !isMine;
  byId("atlas-cancel").hidden = !isMine;
  byId("atlas-make").hidden = making !== null || (tiles.length > 0 && !tiles.some(({ is_waiting }) => is_waiting));
  byId("atlas-make").textContent = tiles.length ? "Go on making it" : "Make it";
  if (isMine) byId("atlas-progress").value = making.share;
  byId("atlas-words").textContent = words(tiles, making, isMine, problem);
  count();
}

function words(tiles, making, isMine, problem) {
  if (isMine) return `It is being made: ${making.words}. You may close this meanwhile.`;
  if (making) return `The atlas of ${making.backbone} is being made; this one comes after it.`;
  if (problem) return problem;
  if (!tiles.length) return `Nobody has looked at ${backbone} yet. Its atlas shows what each layer makes of one small picture; it takes a minute or two, beside the dreams.`;
  return "Each tile is the same portrait, dreamed at one layer. Early layers draw lines and textures, deep ones parts of things.";
}

function tile({ layer, picture, note, depth, of, stride, sees }) {
  const where = depth ? `layer ${depth} of ${of}` : "";
  const facts = [stride ? `stride ${stride}` : "", sees ? `sees ${sees} px` : ""].filter(Boolean).join(" · ");
  const box = make("input", {
    type: "checkbox", class: "unseen", value: layer, checked: chosen.has(layer), disabled: !picture,
    onchange: (event) => {
      if (event.target.checked) chosen.set(layer, layer);
      else chosen.delete(layer);
      count();
    },
  });
  return make("label", { class: "preset layer-tile" }, box,
    picture ? make("img", { src: picture, alt: "", loading: "lazy" }) : make("span", { class: "no-picture", "aria-hidden": "true" }),
    make("strong", {}, layer), make("span", { class: "soft facts-line" }, note || where), facts && !note ? make("span", { class: "soft facts-line" }, facts) : null);
}

function count() {
  const names = [...chosen.keys()];
  byId("atlas-use").disabled = names.length === 0;
  byId("atlas-use").textContent = names.length > 1 ? `Use these ${names.length} layers` : "Use this layer";
  byId("atlas-chosen").textContent = names.length ? names.join(", ") : "choose one or several";
}

const makeIt = () => tried(async () => {
  show(await post("api/atlas", { backbone }));
  timer = setTimeout(look, POLL_MILLISECONDS);
});
