// Making elements. Text is only ever set as text, so that no name of a file can become markup.

/** The element of an id. */
export const byId = (id) => document.getElementById(id);

/** A new element: `make("li", {class: "tile"}, "text", child)`. Functions listen, as in `{onclick: f}`. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Gives an element these children, unless what they are made of is what it was: so a focus or a hover stays. */
export function refill(element, basis, children) {
  const key = JSON.stringify(basis);
  if (element.dataset.basis === key) return;
  const focused = document.activeElement?.closest("[data-key]")?.dataset.key;
  const hadFocus = focused !== undefined && element.contains(document.activeElement);
  element.dataset.basis = key;
  element.replaceChildren(...children());
  if (hadFocus) element.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

/** Tells something in passing, to eyes and to screen readers; with a `way` back it has a button, and stays longer. */
export function notice(text, way = null) {
  const line = make("p", {}, text);
  if (way) line.append(" ", make("button", { type: "button", class: "way", onclick: () => take(way, line) }, way.label));
  byId("notices").append(line);
  setTimeout(() => line.remove(), way ? 12000 : 6000);
}

function take(way, line) {
  line.remove();
  tried(way.act);
}

/** Does something, and tells in passing what goes wrong with it. Tells whether it went well. */
export async function tried(deed) {
  try {
    await deed();
    return true;
  } catch (error) {
    notice(error.message);
    return false;
  }
}
