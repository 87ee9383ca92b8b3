// What the controls of a recipe stand at, out of what dreamd says of its text.

/** Reads a verdict: the value of a field and where it is from, what the text itself gives, and what it would inherit. */
export function standingOf({ fields, standing }) {
  const now = byName(fields);
  const below = byName(standing.inherited.fields);
  const own = new Set(standing.own);
  return {
    extends: standing.extends,
    own: standing.own,
    isSequence: fields.some(({ name }) => name.startsWith("sequence[")),
    hasStages: fields.some(({ name }) => name.startsWith("stages[")),
    has: (path) => now.has(path) || path in standing.lists,
    isOwn: (path) => own.has(path) || (path.endsWith(".name") && own.has(path.replace(/\.name$/, ""))),
    value: (path) => (path in standing.lists ? standing.lists[path] : now.get(path)?.value),
    origin: (path) => originOf(now, path),
    inherited: (path) => ({
      value: path in standing.inherited.lists ? standing.inherited.lists[path] : below.get(path)?.value,
      origin: originOf(below, path),
    }),
  };
}

const byName = (fields) => new Map(fields.map(({ name, value, origin }) => [name, { value: JSON.parse(value), origin }]));

/** Where a value is from; of a list, where its first entry is from. */
function originOf(fields, path) {
  return (fields.get(path) ?? fields.get(`${path}[0].name`) ?? fields.get(`${path}.name`))?.origin ?? "";
}

/** A value in a few words. */
export function inWords(value) {
  if (value === null || value === undefined) return "none";
  if (Array.isArray(value)) return value.length ? value.map(inWords).join(", ") : "nothing";
  if (typeof value === "object") return value.name ?? JSON.stringify(value);
  return typeof value === "boolean" ? (value ? "on" : "off") : String(value);
}

/** An origin as people read it: "built-in" is dreamd's own default, and a line number helps only beside a text. */
export const sourceOf = (origin) => (origin === "built-in" ? "dreamd's own default" : origin.replace(/:\d+$/, ""));
