// What the controls of a recipe stand at, out of what dreamd says of its text.

/** Reads a verdict: the value of a field and where it is from, what the text itself gives, and what it would inherit. */
export const standingOf = ({ standing }) => reading(standing);

/** Reads what the controls of a recipe stand at, or those of a part of it. */
function reading(standing) {
  const { extends: name, own, lists, inherited, parts, is_shared: isShared } = standing;
  const now = byName(standing.fields);
  const below = byName(inherited.fields);
  const given = new Set(own);
  const value = (values, its, path) => (path in its ? its[path] : values.get(path)?.value);
  return {
    extends: name,
    own,
    isShared,
    isSequence: "sequence" in parts && parts.sequence.length > 0,
    has: (path) => now.has(path) || path in lists || path === "extends",
    isOwn: (path) => given.has(path) || (path.endsWith(".name") && given.has(path.replace(/\.name$/, ""))),
    value: (path) => (path === "extends" ? name : value(now, lists, path)),
    origin: (path) => originOf(now, standing.origins, path),
    inherited: (path) => ({ value: value(below, inherited.lists, path), origin: originOf(below, inherited.origins, path) }),
    parts: (path) => (parts[path] ?? []).map(reading),
  };
}

const byName = (fields) => new Map(fields.map(({ name, value, origin }) => [name, { value: JSON.parse(value), origin }]));

/** Where a value is from; of a list of layers or plugins, where its first entry is from. */
function originOf(fields, lists, path) {
  return lists[path] ?? (fields.get(path) ?? fields.get(`${path}[0].name`) ?? fields.get(`${path}.name`))?.origin ?? "";
}

/** A value in a few words. */
export function inWords(value) {
  if (value === null || value === undefined) return "none";
  if (Array.isArray(value)) return value.length ? value.map(inWords).join(", ") : "nothing";
  if (typeof value === "object") return value.name ?? JSON.stringify(value);
  return typeof value === "boolean" ? (value ? "on" : "off") : String(value);
}

/** What a part of a recipe says, in a few words: a name alone is the recipe that it begins with. */
export function saidInWords(part) {
  if (typeof part === "string") return part;
  const said = Object.entries(part).map(([field, value]) => {
    if (field === "extends") return value;
    return `${field.replaceAll("_", " ")} ${field === "stages" ? value.length : wordsInside(value)}`;
  });
  return said.join(" · ") || "as the recipe";
}

/** How many parts there are, in words. */
export const partsInWords = (parts, part) => (parts?.length ? `${parts.length} ${part}${parts.length > 1 ? "s" : ""}` : "nothing");

const isMapping = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** A field's value in a few words; of a mapping, what each of its fields is. */
function wordsInside(value) {
  if (!isMapping(value)) return inWords(value);
  return Object.entries(value).map(([field, inner]) => (field === "name" ? inWords(inner) : `${field.replaceAll("_", " ")} ${inWords(inner)}`)).join(", ");
}

/** An origin as people read it: "built-in" is dreamd's own default, and a line number helps only beside a text. */
export const sourceOf = (origin) => (origin === "built-in" ? "dreamd's own default" : origin.replace(/:\d+$/, ""));
