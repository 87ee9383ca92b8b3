// The parts of a recipe: each unfolds to controls of its own, can be moved and taken out, and one can be added.

import { make, refill } from "../dom.js";
import { marking, placeFrom, withMoved, withoutEntry } from "./entries.js";
import { adderInput, commitSliders, freshId } from "./inputs.js";
import { saidInWords } from "./standing.js";

/** The control of a list of parts. `fieldsOf(fields, scope)` makes the controls of one of them. */
export function partsInput(control, path, id, scope, fieldsOf) {
  const list = make("ol", { class: "parts", id, "aria-label": control.label });
  const empty = make("p", { class: "soft" }, `no ${control.part}s`);
  const begins = control.options.length ? [new Option("as the recipe", ""), ...control.options.map(scope.presetOption)] : [];
  const adder = adderInput(`Add a ${control.part}`, { choiceLabel: `What the new ${control.part} begins with`, options: begins },
    (name) => parts.add(name || {}, () => cards.at(-1).focus()));
  const element = make("div", {}, list, empty, adder.element);
  const cards = [];
  const parts = partsOf(path, scope, control.limits[1] ?? Infinity, () => cards.map((card) => card.isUnfolded()));

  const cardOf = (at) => partCard({
    title: `${control.part} ${at + 1}`,
    control,
    scope: { ...scope, name: (inner) => scope.name(`${path}[${at}]${inner ? `.${inner}` : ""}`), change: parts.changeIn(at) },
    move: (by) => parts.move(at, by, (to) => cards[to].focusMove(by)),
    takeOut: () => parts.takeOut(at, (was) => (cards[was] ?? cards.at(-1) ?? adder.button).focus()),
    isFirst: at === 0,
    fieldsOf,
  });

  const show = (entries, standing) => {
    const done = parts.show(entries);
    const standings = standing.parts(path);
    while (cards.length < entries.length) cards.push(cardOf(cards.length));
    while (cards.length > entries.length) cards.pop().element.remove();
    list.append(...cards.map((card) => card.element).filter((each) => each.parentNode === null));
    list.hidden = entries.length === 0;
    empty.hidden = entries.length > 0;
    cards.forEach((card, at) => card.show(entries[at], standings[at], at === entries.length - 1, done?.unfolded[at]));
    adder.button.disabled = parts.isFull();
    if (done && (document.activeElement === document.body || element.contains(document.activeElement))) done.focus();
  };

  return { isGroup: true, element, show };
}

/**
 * The parts of a list that are changed: each change is made once those before it are, to the part that it was asked of.
 * `unfolded()` tells which are unfolded, and stay so wherever they come; `focus` is called once a change is shown.
 */
function partsOf(path, scope, most, unfolded) {
  const marks = marking();
  let entries = [];
  let pending = null; // { wanted, unfolded, focus }: what is unfolded once the list is as it is wanted, and where to go on

  const place = (at) => [...path.split("."), at];
  const isFull = () => entries.length >= most;
  const changeAt = (at, changes, about = freshId()) => { // a fresh name: it is undone by itself
    const placeNow = marks.follow(at);
    scope.change(() => (placeNow() < 0 ? [] : changes(placeNow())), about);
  };
  const rearrange = (change, arranged, focus) => {
    const wanted = arranged(entries, change.value);
    marks.expect(wanted, (all) => arranged(all, Symbol()));
    pending = { wanted: JSON.stringify(wanted), unfolded: arranged(unfolded(), true), focus };
    return [change];
  };
  return {
    isFull,
    changeIn: (at) => (changes, about) => changeAt(at, (now) => changes().map((each) => ({ ...each, path: [...place(now), ...each.path] })), `${path}[${at}] ${about}`),
    add: (value, focus) => scope.change(() => (isFull() ? [] : rearrange({ path: place(entries.length), value }, (all, added) => [...all, added], focus)), freshId()),
    move: (at, by, focus) => changeAt(at, (now) => {
      const to = placeFrom(entries, now, by);
      return rearrange({ path: place(now), to }, (all) => withMoved(all, now, to), () => focus(to));
    }),
    takeOut: (at, focus) => changeAt(at, (now) => rearrange({ path: place(now) }, (all) => withoutEntry(all, now), () => focus(now))),
    /** Takes in what the list is; returns what was asked for once the list is so, else null. */
    show(value) {
      const done = pending?.wanted === JSON.stringify(value) ? pending : null;
      if (done) {
        commitSliders(); // those of cards that are of other parts from now on
        pending = null;
      }
      marks.show(value);
      entries = value;
      return done;
    },
  };
}

/** One part: its name and what it says, its buttons, and the controls that it unfolds to, made when they are first seen. */
function partCard({ title, control, scope, move, takeOut, isFirst, fieldsOf }) {
  const id = freshId();
  const words = make("span", { class: "soft said" });
  const unfold = make("button", { type: "button", class: "quiet unfold", "aria-expanded": "false", "aria-controls": id, onclick: () => setUnfolded(!isUnfolded()) },
    make("span", { class: "label" }, title[0].toUpperCase() + title.slice(1)), " ", words);
  const [up, down, out] = [["↑", "Move up", () => move(-1)], ["↓", "Move down", () => move(1)], ["✕", "Take out", takeOut]].map(([text, deed, act]) =>
    make("button", { type: "button", class: "quiet small", "aria-label": `${deed} ${title}`, onclick: act }, text));
  const inside = make("div", { class: "inside", id, hidden: true });
  const showInside = whenSeen(inside, title, () => fieldsOf(control.inside, scope));
  let latest = null;

  const isUnfolded = () => !inside.hidden;
  const setUnfolded = (wanted) => {
    inside.hidden = !wanted;
    unfold.setAttribute("aria-expanded", wanted);
    if (wanted) showInside(latest);
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

/** A function that shows the controls of a part, and makes them the first time. */
function whenSeen(inside, title, makeFields) {
  let fields = null;
  return (standing) => {
    if (fields === null) {
      fields = makeFields();
      inside.replaceChildren(fieldset(title, fields));
    }
    inside.firstChild.disabled = standing.isShared;
    fields.show(standing);
  };
}

/** The controls of a part: those that people change first, and the others below them. */
function fieldset(title, { main, groups }) {
  return make("fieldset", { class: "bare", "aria-label": title }, make("div", { class: "controls" }, ...main),
    groups.length ? make("details", { class: "more-controls" }, make("summary", {}, `More settings of ${title}`), ...groups) : null);
}
