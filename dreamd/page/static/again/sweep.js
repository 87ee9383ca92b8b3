// One field of a recipe over several values.

import { post } from "../api.js";
import { byId, make } from "../dom.js";
import { presets } from "../presets/preset.js";

const OWN = ""; // the value of the choice that is the picture's own recipe

let fields = [];
let told = () => {};
let about = () => ({});
let isShown = false;
let isSizeChosen = false;
let asking = 0;

/** `onChange` is told when there are other values; `look` gives the folder and the text of the own recipe. */
export function setUpSweep(onChange, look) {
  told = onChange;
  about = look;
  byId("again-by-recipes").addEventListener("click", () => reveal(false));
  byId("again-by-values").addEventListener("click", () => reveal(true));
  byId("sweep-base").addEventListener("change", () => askFields());
  byId("sweep-field").addEventListener("change", showField);
  byId("sweep-text").addEventListener("input", showValues);
  byId("sweep-fill").addEventListener("click", fillRange);
  byId("sweep-names").addEventListener("change", fillNames);
  byId("again-small").addEventListener("change", () => { isSizeChosen = true; });
}

export const isSweeping = () => isShown;
export const sweepCount = () => new Set(values()).size;

/** The name of the recipe that is swept over; nothing for the picture's own. */
export const sweepBase = () => byId("sweep-base").value;

/** What is asked of the server. */
export function sweepAsked() {
  const base = byId("sweep-base").value;
  const sweep = `${byId("sweep-field").value}=${byId("sweep-text").value}`;
  return base === OWN ? { text: about().text, sweep } : { base, sweep };
}

export async function showSweep(isWanted, { recipe }) {
  const { presets: cards } = await presets();
  const names = cards.filter(({ problem }) => problem === null).map(({ name }) => new Option(name, name));
  byId("sweep-base").replaceChildren(...(recipe === null ? [] : [new Option("its own", OWN)]), ...names);
  await reveal(isWanted);
}

async function reveal(isSweep) {
  isShown = isSweep;
  byId("again-values").hidden = !isSweep;
  byId("again-recipes").hidden = isSweep;
  byId("again-by-values").setAttribute("aria-pressed", isSweep);
  byId("again-by-recipes").setAttribute("aria-pressed", !isSweep);
  if (!isSizeChosen) byId("again-small").checked = isSweep; // a sweep is to be looked at, and most of it is thrown away
  if (isSweep) await askFields();
  told();
}

async function askFields() {
  const turn = ++asking;
  const { folder, text } = about();
  const recipe = byId("sweep-base").value === OWN ? text : byId("sweep-base").value;
  const before = byId("sweep-field").value;
  try {
    const found = await post("api/sweep/fields", { folder, recipe });
    if (turn !== asking) return;
    fields = found;
  } catch (error) {
    fields = [];
    byId("sweep-hint").textContent = error.message;
  }
  byId("sweep-field").replaceChildren(...fields.map(({ name, value }) => new Option(`${name} (${value})`, name)));
  const first = [before, "ascent.lr", "ascent.iterations"].find((name) => fields.some((field) => field.name === name));
  if (first) byId("sweep-field").value = first;
  if (fields.length) showField();
}

const field = () => fields.find(({ name }) => name === byId("sweep-field").value);

function showField() {
  const { proposed, names, is_number: isNumber, value } = field();
  byId("sweep-text").value = proposed.join(", ");
  byId("sweep-range").hidden = !isNumber;
  byId("sweep-names").hidden = names.length === 0;
  if (isNumber) {
    byId("sweep-from").value = proposed[0] ?? value;
    byId("sweep-to").value = proposed.at(-1) ?? value;
  }
  byId("sweep-names").replaceChildren(byId("sweep-names").firstElementChild,
    ...names.map((name) => make("label", {}, make("input", { type: "checkbox", class: "tick", value: name, checked: proposed.includes(name) }), name)));
  showValues();
}

/** The values that are typed, parted at commas outside of brackets and quotes, as the server parts them. */
function values() {
  const found = [""];
  let depth = 0;
  let quote = "";
  for (const sign of byId("sweep-text").value) {
    if (quote) quote = sign === quote ? "" : quote;
    else if ("'\"".includes(sign) && /(^|[[{,:])\s*$/.test(found.at(-1))) quote = sign;
    else if ("[{(".includes(sign)) depth += 1;
    else if ("]})".includes(sign)) depth -= 1;
    else if (sign === "," && depth <= 0) {
      found.push("");
      continue;
    }
    found[found.length - 1] += sign;
  }
  return found.map((value) => value.trim()).filter(Boolean);
}

function showValues() {
  const now = field()?.value;
  byId("sweep-hint").textContent = now === undefined ? "" : `The recipe has ${now}. Each value is one dream.`;
  for (const tick of byId("sweep-names").querySelectorAll("input")) tick.checked = values().includes(tick.value);
  told();
}

function fillRange() {
  const [from, to, steps] = ["from", "to", "steps"].map((name) => Number(byId(`sweep-${name}`).value));
  const isWhole = Number.isInteger(Number(field().value)) && !field().value.includes(".");
  const byFactors = byId("sweep-factors").checked && from > 0 && to > 0;
  const at = (share) => (byFactors ? from * (to / from) ** share : from + (to - from) * share);
  const number = Math.min(24, Math.max(2, Math.round(steps) || 2));
  const found = Array.from({ length: number }, (_, index) => at(index / (number - 1)));
  byId("sweep-text").value = [...new Set(found.map((value) => (isWhole ? Math.round(value) : Number(value.toPrecision(3)))))].join(", ");
  showValues();
}

function fillNames() {
  byId("sweep-text").value = [...byId("sweep-names").querySelectorAll("input:checked")].map(({ value }) => value).join(", ");
  showValues();
}
