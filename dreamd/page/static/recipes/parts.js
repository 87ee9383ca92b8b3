// The parts of a recipe: each unfolds to controls of its own, can be moved and taken out, and one can be added.

import { make, refill } from "../dom.js";
import { marking, placeFrom, withMoved, withoutEntry } from "./entries.js";
import { adderInput, commitSliders, freshId } from "./inputs.js";
import { saidInWords } from "./standing.js";

/** The control of a list of parts. `fieldsOf(fields, scope)` makes the controls of one of them. */
export function partsInput(control, path, id, scope, fieldsOf) {
  const list = make("ol", { class: "parts", id, "aria-label": control.label });
  const empty = make("p", { class: "soft" }, `no ${control.part}s`);
  const isFull = (count) => control.limits[1] !== null && count >= control.limits[1];
  const begins = control.options.length ? [new Option("as the recipe", ""), ...control.options.map(scope.presetOption)] : [];
  const adder = adderInput(`Add a ${control.part}`, { choiceLabel: `What the new ${control.part} begins with`, options: begins }, (name) => add(name || {}));
  const element = make("div", {}, list, empty, adder.element);
  const cards = [];
  const marks = marking();
  let entries = [];
  let pending = null; // { wanted, unfolded, focus }: what is unfolded once the list is as it is wanted, and where to go on

  const place = (at) => [...path.split("."), at];
  /** Changes the part that stands at a place now, wherever the changes before have moved it. */
  const changeAt = (at, changes, about = freshId()) => { // a fresh name: it is undone by itself
    const placeNow = marks.follow(at);
    scope.change(() => (placeNow() < 0 ? [] : changes(placeNow())), about);
  };
  const rearrange = (change, arranged, focus) => {
    const wanted = arranged(entries, change.value);
    marks.expect(wanted, (all) => arranged(all, Symbol()));
    pending = { wanted: JSON.stringify(wanted), unfolded: arranged(cards.map((card) => card.isUnfolded()), true), focus };
    return [change];
  };
  const add = (value) => scope.change(() => (isFull(entries.length) ? []
    : rearrange({ path: place(entries.length), value }, (all, added) => [...all, added], () => cards.at(-1).focus())), freshId());
  const move = (at, by) => changeAt(at, (now) => {
    const to = placeFrom(entries, now, by);
    return rearrange({ path: place(now), to }, (all) => withMoved(all, now, to), () => cards[to].focusMove(by));
  });
  const takeOut = (at) => changeAt(at, (now) =>
    rearrange({ path: place(now) }, (all) => withoutEntry(all, now), () => (cards[now] ?? cards.at(-1) ?? adder.button).focus()));

  const show = (value, standing) => {
    const done = pending?.wanted === JSON.stringify(value) ? pending : null;
    if (done) commitSliders(); // those of cards that are of other parts from now on
    marks.show(value);
    entries = value;
    const standings = standing.parts(path);
    while (cards.length < entries.length) cards.push(cardOf(cards.length));
    while (cards.length > entries.length) cards.pop().element.remove();
    list.append(...cards.map((card) => card.element).filter((each) => each.parentNode === null));
    list.hidden = entries.length === 0;
    empty.hidden = entries.length > 0;
    cards.forEach((card, at) => card.show(entries[at], standings[at], at === entries.length - 1, done?.unfolded[at]));
    adder.button.disabled = isFull(entries.length);
    if (done === null) return;
    pending = null;
    if (document.activeElement === document.body || element.contains(document.activeElement)) done.focus();
  };

  const cardOf = (at) => partCard({
    title: `${control.part} ${at + 1}`,
    control,
    scope: { ...scope, name: (inner) => scope.name(`${path}[${at}]${inner ? `.${inner}` : ""}`), change: (changes, about) =>
      changeAt(at, (now) => changes().map((each) => ({ ...each, path: [...place(now), ...each.path] })), `${path}[${at}] ${about}`) },
    move: (by) => move(at, by),
    takeOut: () => takeOut(at),
    isFirst: at === 0,
    fieldsOf,
  });

  return { isGroup: true, element, show };
}

/** One part: its name and what it says, its buttons, and the controls that it unfolds to, made when they are first seen. */
function partCard({ title, control, scope, move, takeOut, isFirst, fieldsOf }) {
  const id = freshId();
  const words = make("span", { class: "soft said" });
  const unfold = make("button", { type: "button", class: "quiet unfold", "aria-expanded": "false", "aria-controls": id, onclick: () => setUnfolded(!isUnfolded()) },
    make("span", { class: "label" }, title[0].toUpperCase() + title.slice(1)), " ", words);
  const button = (text, deed, act) => make("button", { type: "button", class: "quiet small", "aria-label": `${deed} ${title}`, onclick: act }, text);
  const up = button("↑", "Move up", () => move(-1));
  const down = button("↓", "Move down", () => move(1));
  const out = button("✕", "Take out", takeOut);
  const inside = make("div", { class: "inside", id, hidden: true });
  let fields = null;
  let latest = null;

  const isUnfolded = () => !inside.hidden;
  const setUnfolded = (wanted) => {
    inside.hidden = !wanted;
    unfold.setAttribute("aria-expanded", wanted);
    if (wanted) showInside();
  };
  const showInside = () => {
    if (fields === null) {
      fields = fieldsOf(control.inside, scope);
      inside.replaceChildren(fieldset(title, fields));
    }
    inside.firstChild.disabled = latest.isShared;
    fields.show(latest);
  };

  return {
    element: make("li", { class: "part", "data-path": scope.name("") },
      make("div", { class: "head" }, unfold, make("span", { class: "row tight" }, up, down, out)), inside),
    isUnfolded,
    focus: () => unfold.focus(),
    focusMove: (by) => [by < 0 ? up : down, by < 0 ? down : up].find((each) => !each.disabled)?.focus(),
    show(said, standing, isLast, wanted) {
      latest = standing;
      const note = standing.isShared ? "written with YAML's & and *: change it in the text" : saidInWords(said);
      refill(words, note, () => [note]);
      up.disabled = isFirst || standing.isShared;
      down.disabled = isLast || standing.isShared;
      out.disabled = standing.isShared;
      setUnfolded(wanted ?? isUnfolded());
    },
  };
}

/** The controls of a part: those that people change first, and the others below them. */
function fieldset(title, { main, groups }) {
  return make("fieldset", { class: "bare", "aria-label": title }, make("div", { class: "controls" }, ...main),
    groups.length ? make("details", { class: "more-controls" }, make("summary", {}, `More settings of ${title}`), ...groups) : null);
}
