// Choosing plugins: one with its parameters, or a list of them in order.

import { make, refill } from "../dom.js";
import { listOfEntries } from "./entries.js";
import { adderInput, freshId, inputOf } from "./inputs.js";
import { asMapping, nameOf } from "./names.js";

/** The choice of one plugin; below it are the rows of its parameters, which inherit as other fields do. */
export function pluginInput(plugins, path, id, change, rowOf, elsewhere) {
  const choose = (name) => change(() => [{ path: path.split("."), value: name }, ...taken()], path);
  const select = make("select", { id, onchange: () => choose(select.value) });
  /** Layers are of a network, and those of the former one mean nothing in another. */
  const taken = () => (path === "backbone" && standing.isOwn("layers") ? [{ path: ["layers"] }] : []);
  const doc = make("p", { class: "doc" });
  const inside = make("div", { class: "parameters" });
  const isWhole = path.includes("."); // `ascent.optimizer` is one field, whose value is the plugin with its parameters
  let rows = [];
  let standing = null;
  return {
    element: make("div", {}, select, doc, inside),
    show(value, now) {
      standing = now;
      const name = typeof value === "object" ? value?.name : value;
      refill(select, [plugins.map((each) => each.name), name], () => optionsOf(plugins, name));
      select.value = name;
      const plugin = plugins.find((each) => each.name === name);
      doc.textContent = plugin?.doc ?? "";
      const controls = (plugin?.controls ?? []).filter((control) => !(`${path}.${control.path}` in elsewhere));
      refill(inside, [name, controls], () => {
        rows = controls.map((control) => (isWhole ? wholeRow(control, path, change, () => select.value) : rowOf(control, `${path}.${control.path}`)));
        return rows.map(({ element }) => element);
      });
      for (const row of rows) row.show(isWhole ? value : standing);
    },
  };
}

/** A parameter of a plugin that is written as a whole. */
function wholeRow(control, path, change, nameOf) {
  let whole = {};
  const row = parameterRow(control, (given) => change(() => [{ path: path.split("."), value: { ...whole, name: nameOf(), [control.path]: given } }], path));
  return { element: row.element, show(value) { whole = typeof value === "object" ? value : {}; row.show(whole); } };
}

function parameterRow(control, commit) {
  const id = freshId();
  const input = inputOf(control, id, commit);
  return {
    element: make("div", { class: `control is-${control.kind}` },
      make("div", { class: "head" }, make("label", { class: "label", for: id }, control.label)),
      input.element, control.doc ? make("p", { class: "doc soft", title: control.more || null }, control.doc) : null),
    show: (values) => input.show(values[control.path] === undefined ? control.default : values[control.path]),
  };
}

const optionsOf = (plugins, name) => {
  const names = plugins.map((each) => each.name).filter((each) => !each.includes("*"));
  return (names.includes(name) || !name ? names : [name, ...names]).map((each) => new Option(each));
};

/**
 * A list of plugins: each can be changed, moved and taken out, and one can be added. `rewrite(stepsNow)` is called with
 * what tells the list once the changes before are made.
 */
export function stepsInput(plugins, id, rewrite, label) {
  const steps = listOfEntries(rewrite);
  const list = make("ol", { class: "steps", id, "aria-label": label });
  const adder = adderInput("Add", {
    label: `Add to ${label.toLowerCase()}`,
    choiceLabel: `What is added to ${label.toLowerCase()}`,
    options: plugins.map(({ name }) => new Option(name)),
  }, steps.add);
  let rows = [];
  return {
    isGroup: true,
    element: make("div", {}, list, adder.element),
    show(value) {
      const shown = value ?? [];
      steps.show(shown);
      refill(list, shown.map(nameOf), () => {
        rows = shown.map((step, at) => stepCard(step, at, steps, plugins.find(({ name }) => name === nameOf(step))));
        return rows.length ? rows.map(({ element }) => element) : [make("li", { class: "soft" }, "nothing")];
      });
      rows.forEach(({ parameters }, at) => parameters.forEach((row) => row.show(asMapping(shown[at]))));
    },
  };
}

/** A step of a list, with its buttons and the rows of its plugin's parameters. */
function stepCard(step, at, steps, plugin) {
  const parameters = (plugin?.controls ?? []).map((control) =>
    parameterRow(control, (value) => steps.set(at, (each) => ({ ...asMapping(each), [control.path]: value }))));
  const button = (text, words, act, isOff = false) => make("button", {
    type: "button", class: "quiet small", disabled: isOff, "aria-label": `${words} ${nameOf(step)}`, "data-key": `${words} ${at}`, onclick: act,
  }, text);
  return {
    parameters,
    element: make("li", { class: "step" },
      make("div", { class: "head" }, make("span", { class: "label" }, nameOf(step)), make("span", { class: "row tight" },
        button("↑", "Move up", () => steps.move(at, -1), at === 0),
        button("↓", "Move down", () => steps.move(at, 1), at === steps.entries().length - 1),
        button("✕", "Take out", () => steps.takeOut(at)))),
      plugin?.doc ? make("p", { class: "doc soft" }, plugin.doc) : null,
      ...parameters.map(({ element }) => element)),
  };
}
