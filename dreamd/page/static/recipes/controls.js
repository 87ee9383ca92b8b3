// The controls of a recipe, made from its schema: each shows its value, where that is from, and the way back to it.

import { byId, make, refill } from "../dom.js";
import { freshId, inputOf } from "./inputs.js";
import { layersControl } from "./layers.js";
import { pluginInput, stepsInput } from "./plugins.js";
import { inWords, sourceOf } from "./standing.js";

let form = null;
let rows = [];
let change = null;

/** Makes the controls anew. `onChange(changes)` is called with what a person has changed. */
export function buildControls(newForm, onChange) {
  form = newForm;
  change = onChange;
  rows = [];
  const everywhere = form.groups.flatMap(({ controls }) => controls);
  const main = Object.entries(form.main).map(([path, label]) => mainRow(path, label, everywhere)).filter(Boolean);
  byId("controls-main").replaceChildren(...main.map(({ element }) => element));
  const groups = form.groups.map(({ title, controls }) => {
    const inside = controls.filter(({ path }) => !(path in form.main)).map((control) => row(control, control.path));
    return { title, inside: inside.map(({ element }) => element) };
  });
  byId("controls-groups").replaceChildren(...groups.filter(({ inside }) => inside.length).map(({ title, inside }) =>
    make("section", { class: "group", "aria-label": title }, make("h4", {}, title), make("div", { class: "controls" }, ...inside))));
}

/** Moves the controls to what a text says. */
export function showControls(standing) {
  for (const each of rows) each.show(standing);
}

function mainRow(path, label, everywhere) {
  const control = everywhere.find((each) => each.path === path);
  if (control) return row({ ...control, label }, path);
  const [field, parameter] = path.split("."); // of a plugin, which may not be the chosen one
  const found = (form.plugins[field] ?? []).flatMap(({ controls }) => controls).find((each) => each.path === parameter);
  return found ? parameterRow(field, parameter, label) : null;
}

/** The row of a parameter that the chosen plugin may have or not. */
function parameterRow(field, parameter, label) {
  const box = make("div", { class: "control-place" });
  const path = `${field}.${parameter}`;
  let made = null;
  let of = null;
  const shown = {
    element: box,
    show(standing) {
      const plugin = form.plugins[field].find(({ name }) => name === standing.value(`${field}.name`));
      const control = plugin?.controls.find((each) => each.path === parameter);
      box.hidden = !control;
      if (!control) return;
      if (of !== plugin.name) {
        made = bareRow({ ...control, label }, path);
        box.replaceChildren(made.element);
        of = plugin.name;
      }
      made.show(standing);
    },
  };
  rows.push(shown);
  return shown;
}

function row(control, path) {
  const made = bareRow(control, path);
  rows.push(made);
  return made;
}

function bareRow(control, path) {
  const id = freshId();
  const commit = (value) => change([{ path: path.split("."), value }], path);
  const input = makeInput(control, path, id, commit);
  const from = make("p", { class: "from", id: `${id}-from` });
  const label = make(input.isGroup ? "span" : "label", { class: "label", for: input.isGroup ? null : id, id: `${id}-label` }, control.label);
  const element = make("div", { class: `control is-${control.kind}`, "data-path": path },
    make("div", { class: "head" }, label, make("code", { class: "soft" }, path)),
    input.element,
    control.doc ? make("p", { class: "doc soft", id: `${id}-doc`, title: control.more || null }, sentence(control.doc)) : null,
    from);
  element.querySelector(`#${id}`)?.setAttribute("aria-describedby", control.doc ? `${id}-doc ${id}-from` : `${id}-from`);
  return {
    element,
    show(standing) {
      element.hidden = !standing.has(path) && !standing.has(`${path}.name`);
      if (element.hidden) return;
      input.show(standing.value(path) ?? standing.value(`${path}.name`) ?? null, standing);
      showFrom(from, path, control, standing);
    },
  };
}

function makeInput(control, path, id, commit) {
  if (control.kind === "layers") return layersControl(id, commit);
  if (control.kind === "plugin") return pluginInput(form.plugins[control.plugin], path, id, change, bareRow, form.main);
  if (control.kind === "steps") return stepsInput(form.plugins[control.plugin], id, commit, control.label);
  return inputOf(control, id, commit);
}

/** Where a value is from, and what it would be without the folder's own. */
function showFrom(element, path, control, standing) {
  const isOwn = standing.isOwn(path);
  const { value, origin } = isOwn ? standing.inherited(path) : { value: null, origin: standing.origin(path) };
  refill(element, [isOwn, value, origin], () => {
    if (!isOwn) return [make("span", { class: "soft" }, `from ${sourceOf(origin)}`)];
    const words = value === undefined && origin === "" ? "take it out" : `back to ${inWords(value ?? standing.inherited(`${path}.name`).value)}`;
    return [
      make("span", { class: "chip own" }, "set here"),
      make("button", {
        type: "button", class: "quiet small", "data-key": `back ${path}`,
        "aria-label": `${control.label}: ${words}`,
        onclick: () => change([{ path: path.split(".") }], path),
      }, words, origin ? make("span", { class: "soft" }, ` from ${sourceOf(origin)}`) : null),
    ];
  });
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1);
