// The controls of a recipe, made from its schema: each shows its value, where that is from, and the way back to it.
//
// A part of a recipe has controls of its own, made by the same code: a scope says where their fields stand, and how
// they are changed there.

import { byId, make, refill } from "../dom.js";
import { presetOption } from "../presets/preset.js";
import { choiceInput, freshId, inputOf } from "./inputs.js";
import { layersControl } from "./layers.js";
import { partsInput } from "./parts.js";
import { pluginInput, stepsInput } from "./plugins.js";
import { inWords, partsInWords, sourceOf } from "./standing.js";

let whole = null;

/** Makes the controls anew, with the presets there are to begin with. `change(changes, about)` is called when a person changes something; `changes()` tells what. */
export function buildControls(form, presets, change) {
  whole = fieldsOf(form, { plugins: form.plugins, presetOption: (name) => presetOption(name, presets), change, name: (path) => path });
  byId("controls-main").replaceChildren(...whole.main);
  byId("controls-groups").replaceChildren(...whole.groups);
}

/** Moves the controls to what a text says. */
export function showControls(standing) {
  whole.show(standing);
}

/** The controls of a recipe's fields, or of those of a part: the main ones, the groups of others, and `show(standing)`. */
function fieldsOf({ main, groups }, scope) {
  const inside = { ...scope, main };
  const everywhere = groups.flatMap(({ controls }) => controls);
  const first = Object.entries(main).map(([path, label]) => mainRow(path, label, everywhere, inside)).filter(Boolean);
  const others = groups.map(({ title, controls }) =>
    ({ title, rows: controls.filter(({ path }) => !(path in main)).map((control) => bareRow(control, control.path, inside)) }));
  const rows = [...first, ...others.flatMap((group) => group.rows)];
  return {
    main: first.map(({ element }) => element),
    groups: others.filter((group) => group.rows.length).map((group) =>
      make("div", { class: "group", role: "group", "aria-label": group.title }, make("h4", {}, group.title),
        make("div", { class: "controls" }, ...group.rows.map(({ element }) => element)))),
    show: (standing) => rows.forEach((row) => row.show(standing)),
  };
}

function mainRow(path, label, everywhere, scope) {
  const control = everywhere.find((each) => each.path === path);
  if (control) return bareRow({ ...control, label }, path, scope);
  const [field, parameter] = path.split("."); // of a plugin, which may not be the chosen one
  const found = (scope.plugins[field] ?? []).flatMap(({ controls }) => controls).find((each) => each.path === parameter);
  return found ? parameterRow(field, parameter, label, scope) : null;
}

/** The row of a parameter that the chosen plugin may have or not. */
function parameterRow(field, parameter, label, scope) {
  const box = make("div", { class: "control-place" });
  const path = `${field}.${parameter}`;
  let made = null;
  let of = null;
  return {
    element: box,
    show(standing) {
      const plugin = scope.plugins[field].find(({ name }) => name === standing.value(`${field}.name`));
      const control = plugin?.controls.find((each) => each.path === parameter);
      box.hidden = !control;
      if (!control) return;
      if (of !== plugin.name) {
        made = bareRow({ ...control, label }, path, scope);
        box.replaceChildren(made.element);
        of = plugin.name;
      }
      made.show(standing);
    },
  };
}

function bareRow(control, path, scope) {
  const id = freshId();
  const name = scope.name(path);
  const input = makeInput(control, path, id, scope);
  const from = make("p", { class: "from", id: `${id}-from` });
  const label = make(input.isGroup ? "span" : "label", { class: "label", for: input.isGroup ? null : id, id: `${id}-label` }, control.label);
  const element = make("div", { class: `control is-${control.kind}`, "data-path": name },
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
      showFrom(from, path, control, standing, scope);
    },
  };
}

function makeInput(control, path, id, scope) {
  const rewrite = (valueNow) => scope.change(() => valuesAt(path, valueNow()), path);
  const commit = (value) => rewrite(() => value);
  const inherit = () => scope.change(() => [{ path: path.split(".") }], path);
  if (control.kind === "layers") return layersControl(id, rewrite);
  if (control.kind === "parts") return partsInput(control, path, id, scope, fieldsOf);
  if (control.kind === "recipe") return choiceInput(control, id, (name) => (name === null ? inherit() : commit(name)), scope.presetOption);
  if (control.kind === "plugin") {
    const row = (inner, its) => bareRow(inner, its, scope);
    return pluginInput(scope.plugins[control.plugin], path, id, scope.change, row, scope.main);
  }
  if (control.kind === "steps") return stepsInput(scope.plugins[control.plugin], id, rewrite, control.label);
  return inputOf(control, id, commit);
}

/** The changes that give a field a value; none where there is no value any more. */
const valuesAt = (path, value) => (value === undefined ? [] : [{ path: path.split("."), value }]);

/** Where a value is from, and what it would be without the folder's own. */
function showFrom(element, path, control, standing, scope) {
  const isOwn = standing.isOwn(path);
  const { value, origin } = isOwn ? standing.inherited(path) : { value: null, origin: standing.origin(path) };
  refill(element, [isOwn, value, origin], () => {
    if (!isOwn) return origin === "" ? [] : [make("span", { class: "soft" }, `from ${sourceOf(origin)}`)];
    const before = value ?? standing.inherited(`${path}.name`).value;
    const words = value === undefined && origin === "" ? "take it out" : `back to ${control.kind === "parts" ? partsInWords(before, control.part) : inWords(before)}`;
    return [
      make("span", { class: "chip own" }, "set here"),
      make("button", {
        type: "button", class: "quiet small", "data-key": `back ${scope.name(path)}`,
        "aria-label": `${control.label}: ${words}`,
        onclick: () => scope.change(() => [{ path: path.split(".") }], path),
      }, words, origin ? make("span", { class: "soft" }, ` from ${sourceOf(origin)}`) : null),
    ];
  });
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1);
