// Inputs for plain values. Each is an element with `show(value)`; `commit(value)` is called when a person has chosen.
// And what adds an entry to a list.

import { make } from "../dom.js";
import { whenQuiet } from "../timing.js";

const QUIET_MILLISECONDS = 200;
const STEPS = 1000;
const moved = new Set(); // what says where sliders were moved to just now
let count = 0;

/** A new id, by which a label finds its input. */
export const freshId = () => `control-${(count += 1)}`;

/** Commits at once what sliders were moved to, which else waits until they rest. */
export function commitSliders() {
  for (const sayLater of [...moved]) sayLater.finish();
}

/** The input of a control. `id` is for its label. */
export function inputOf(control, id, commit) {
  const kinds = { number: numberInput, choice: choiceInput, flag: flagInput, text: textInput };
  return (kinds[control.kind] ?? otherInput)(control, id, commit);
}

/** A choice of some words. */
export function choiceInput(control, id, commit, optionOf = (name) => new Option(name)) {
  const given = () => control.options.find((option) => String(option) === select.value) ?? null;
  const names = [...(control.optional ? [new Option("none", "")] : []), ...control.options.map(optionOf)];
  const select = make("select", { id, onchange: () => commit(given()) }, ...names);
  return { element: select, show: (value) => (select.value = value ?? "") };
}

/** A button that adds an entry to a list, beside a choice of what is added; no choice where there are no options. */
export function adderInput(text, { label, choiceLabel, options }, add) {
  const choice = options.length ? make("select", { "aria-label": choiceLabel }, ...options) : null;
  const button = make("button", { type: "button", class: "quiet", "aria-label": label, onclick: () => add(choice?.value ?? "") }, text);
  return { element: make("div", { class: "row tight adder" }, choice, button), button };
}

function flagInput(control, id, commit) {
  const box = make("input", { id, type: "checkbox", role: "switch", class: "switch", onchange: () => commit(box.checked) });
  return { element: box, show: (value) => (box.checked = value === true) };
}

function textInput(control, id, commit) {
  const box = make("input", {
    id, type: "text", autocomplete: "off", spellcheck: "false", placeholder: control.optional ? "none" : "",
    onchange: () => commit(box.value === "" && control.optional ? null : box.value),
  });
  return { element: box, show: (value) => document.activeElement !== box && (box.value = value ?? "") };
}

/** What has no control of its own: it is shown, and changed in the text. */
function otherInput(control, id) {
  const text = make("code", { id });
  const element = make("span", { class: "other" }, text, make("small", { class: "soft" }, " change it in the YAML"));
  return { element, show: (value) => (text.textContent = JSON.stringify(value ?? null)) };
}

function numberInput(control, id, commit) {
  const [low, high] = control.limits;
  const box = make("input", { id, type: "number", class: "number", step: control.whole ? 1 : "any", min: low, max: high, inputmode: "decimal" });
  const slider = control.slider ? sliderOf(control, (value) => {
    box.value = value;
    moved.add(sayLater);
    sayLater(value);
  }) : null;
  const none = control.optional ? make("input", { type: "checkbox", "aria-label": `${control.label}: none` }) : null;
  const say = (value) => {
    sayLater.stop();
    moved.delete(sayLater);
    if (value !== null && (!Number.isFinite(value) || !box.checkValidity())) return;
    commit(value);
  };
  const sayLater = whenQuiet(say, QUIET_MILLISECONDS);
  box.addEventListener("change", () => {
    slider?.place(Number(box.value));
    say(box.value === "" && control.optional ? null : box.valueAsNumber);
  });
  none?.addEventListener("change", () => say(none.checked ? null : (box.valueAsNumber || start(control))));
  const element = make("span", { class: `number-input${slider ? "" : " alone"}` }, slider?.element, box,
    none && make("label", { class: "none" }, none, "none"));
  return {
    element,
    show(value) {
      const isNone = value === null || value === undefined;
      if (none) none.checked = isNone;
      if (slider) slider.element.disabled = isNone;
      if (slider && document.activeElement === slider.element) return; // a person moves it, and is ahead of what dreamd has said
      if (document.activeElement !== box) box.value = isNone ? "" : value;
      if (typeof value === "number") slider?.place(value);
    },
  };
}

/** The slider of a number: `move(value)` is called while it is moved, and `place(value)` moves it. */
function sliderOf(control, move) {
  const scale = scaleOf(control);
  const element = make("input", { type: "range", ...ends(control), "aria-label": `${control.label}, slider` });
  const tell = (value) => element.setAttribute("aria-valuetext", String(value));
  element.addEventListener("input", () => {
    const value = scale.valueAt(Number(element.value));
    tell(value);
    move(value);
  });
  return {
    element,
    place(value) {
      element.value = scale.placeOf(value);
      tell(value);
    },
  };
}

/** A number to begin with where there was none. */
const start = ({ slider, limits, whole }) => {
  const value = slider ? Math.sqrt(Math.max(slider[0], 1e-9) * slider[1]) : (limits[0] ?? 1);
  return whole ? Math.round(value) : rounded(value);
};

const isWide = ({ whole, slider: [low, high] }) => low > 0 && high / low >= (whole ? 1000 : 50);

function ends(control) {
  const [low, high] = control.slider;
  if (isWide(control)) return { min: 0, max: STEPS, step: 1 };
  return { min: low, max: high, step: control.whole ? Math.max(1, Math.round((high - low) / 200)) : (high - low) / 200 };
}

/** The slider's place of a value, and the value at a place: by factors where the ends are far apart. */
function scaleOf(control) {
  const [low, high] = control.slider;
  const exact = (value) => (control.whole ? Math.round(value) : rounded(value));
  if (!isWide(control)) return { placeOf: (value) => value, valueAt: exact };
  const span = Math.log(high / low);
  return {
    placeOf: (value) => Math.round((Math.log(Math.max(value, low) / low) / span) * STEPS),
    valueAt: (place) => exact(low * Math.exp((place / STEPS) * span)),
  };
}

const rounded = (value) => Number(value.toPrecision(2 + (Math.abs(value) >= 1)));
