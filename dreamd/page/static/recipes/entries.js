// The entries of a list while changes of it wait for each other: what is done to an entry is done to that one, wherever
// the changes before have moved it.

/** The place that is so far from another one, or the first or last one. */
export const placeFrom = (all, at, by) => Math.max(0, Math.min(all.length - 1, at + by));

/** A list in which an entry has another place. */
export const withMoved = (all, from, to) => all.toSpliced(from, 1).toSpliced(to, 0, all[from]);

/** A list without an entry. */
export const withoutEntry = (all, at) => all.toSpliced(at, 1);

/** Marks by which the entries of a list are known, whatever their places. */
export function marking() {
  let marks = [];
  let next = null; // { wanted, marks }: the marks once the list is as it is wanted
  return {
    /** A function that tells where the entry is that stands at a place now; -1 once it is gone. */
    follow(at) {
      const mark = marks[at];
      return () => marks.indexOf(mark);
    },
    /** Takes in what the list is going to be, by `change(marks)` of its marks. */
    expect(wanted, change) {
      next = { wanted: JSON.stringify(wanted), marks: change(marks) };
    },
    /** Takes in what the list is. */
    show(entries) {
      if (next?.wanted === JSON.stringify(entries)) {
        marks = next.marks;
        next = null;
      } else if (marks.length !== entries.length) marks = entries.map(() => Symbol());
    },
  };
}

/** A list that is written as a whole: `rewrite(listNow)` is called with what tells the list, or nothing to write. */
export function listOfEntries(rewrite) {
  const marks = marking();
  let entries = [];
  const rearrange = (change) => {
    const wanted = change(entries);
    marks.expect(wanted, change);
    return wanted;
  };
  const changeAt = (at, change) => {
    const place = marks.follow(at);
    rewrite(() => (place() < 0 ? undefined : change(place())));
  };
  return {
    entries: () => entries,
    add: (value) => rewrite(() => rearrange((all) => [...all, all === entries ? value : Symbol()])),
    set: (at, made) => changeAt(at, (now) => entries.with(now, made(entries[now]))),
    move: (at, by) => changeAt(at, (now) => rearrange((all) => withMoved(all, now, placeFrom(all, now, by)))),
    takeOut: (at) => changeAt(at, (now) => rearrange((all) => withoutEntry(all, now))),
    show(value) {
      entries = value;
      marks.show(value);
    },
  };
}
