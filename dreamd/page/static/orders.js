// What the page has dreamd do, and what dreamd says of it.

import { post } from "./api.js";
import { notice, tried } from "./dom.js";

const MOST_SAID = 3;

/** Has dreamd do something, and tells in passing what it says of that. Tells whether it went well. */
export const order = (path, values) => tried(async () => tellSaid((await post(path, values)).said));

/** Tells in passing what dreamd says: the first lines of it. */
export function tellSaid(lines) {
  for (const line of lines.slice(0, MOST_SAID)) notice(line);
  if (lines.length > MOST_SAID) notice(`and ${lines.length - MOST_SAID} more`);
}
