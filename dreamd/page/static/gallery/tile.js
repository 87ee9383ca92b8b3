// One result as a tile: its picture as it is, its original while somebody looks closer, and what it is called on demand.

import { addressOf } from "../api.js";
import { make } from "../dom.js";
import { thumbnailOf } from "../pictures.js";
import { ago, duration, filmLength, folderName, plural } from "../words.js";
import { lookCloser } from "./looking.js";
import { ratioOf } from "./rows.js";

const PRESS_MILLISECONDS = 420;
const SIDES = { small: 320, medium: 720 };

/** One result; `sought` is what it was found by, which the viewer goes on through. */
export function tile(result, { isFresh = false, sought = {}, isSelected = false, canMark = false } = {}) {
  const name = result.result.split("/").pop();
  const link = make("a", { href: addressOf("result", result.id, sought), "data-key": result.id, draggable: "false" },
    result.has_picture ? picture(result) : blank(result),
    result.frames === null ? null : make("span", { class: "length" }, lengthOf(result)),
    make("span", { class: "caption" }, make("b", {}, name),
      make("small", {}, `${folderName(result.folder)} · ${ago(result.finished_at)}`,
        result.seconds === null ? "" : ` · ${duration(result.seconds)}`)),
  );
  const item = make("li", { class: "tile", "data-id": result.id }, link, ...(canMark ? marks(result, name, isSelected) : []));
  item.classList.toggle("fresh", isFresh);
  item.classList.toggle("selected", isSelected);
  item.classList.toggle("favourite", result.is_favourite);
  item.style.setProperty("--ratio", ratioOf(result).toFixed(5));
  if (result.has_picture && result.is_there) lookCloser(result, link, sources(result, "before"));
  return item;
}

/** How long a film or an animation is. */
const lengthOf = ({ frames, film_seconds: seconds }) => (seconds === null ? plural(frames, "frame") : filmLength(seconds));

const marks = (result, name, isSelected) => [
  make("button", { type: "button", class: "pick", "aria-pressed": String(isSelected), "aria-label": `Select ${name}` }),
  result.is_there ? null : make("button", { type: "button", class: "dismiss quiet", "aria-label": `Dismiss ${name}` }, "Dismiss"),
  result.put_away ? null : make("button", { type: "button", class: "star", "aria-pressed": String(result.is_favourite), "aria-label": `Favourite ${name}` }),
];

/** The sizes in which a picture is to be had; which one is needed the browser finds out by how large it is shown. */
function sources(result, kind) {
  if (Math.max(result.width ?? 0, result.height ?? 0) <= SIDES.small) return {};
  const sizes = Object.entries(SIDES).map(([size, side]) => `${thumbnailOf(result.id, kind, size)} ${fitted(result, side).width}w`);
  return { srcset: sizes.join(", "), sizes: "320px" };
}

function picture(result) {
  const small = fitted(result, SIDES.small);
  const image = make("img", { ...sources(result, "after"), src: thumbnailOf(result.id, "after", "small"), alt: "", loading: "lazy", decoding: "async", draggable: "false", ...small });
  image.addEventListener("error", () => image.replaceWith(blank(result)));
  return image;
}

/** Width and height of a result within a square, so that its place is known before it is here. */
function fitted({ width, height }, side) {
  if (!width || !height) return {};
  const scale = Math.min(1, side / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

const blank = (result) =>
  make("span", { class: "blank" }, result.is_there ? "cannot be shown" : "no longer in the outbox");

/** Tells the tiles of a list that a finger rests on them: the events `press` and `release`, which a click does not follow. */
export function watchPresses(list) {
  let pressed = null;
  let timer = 0;
  let isHeld = false;
  const end = () => {
    clearTimeout(timer);
    if (isHeld) pressed?.dispatchEvent(new CustomEvent("release", { bubbles: true }));
    pressed = null;
  };
  list.addEventListener("pointerdown", (event) => {
    isHeld = false;
    pressed = event.pointerType === "mouse" ? null : event.target.closest(".tile a");
    if (!pressed) return;
    timer = setTimeout(() => {
      isHeld = true;
      pressed?.dispatchEvent(new CustomEvent("press", { bubbles: true }));
    }, PRESS_MILLISECONDS);
  });
  for (const name of ["pointerup", "pointercancel"]) list.addEventListener(name, end);
  list.addEventListener("contextmenu", (event) => pressed && event.preventDefault());
  list.addEventListener("click", (event) => {
    if (!isHeld) return;
    isHeld = false;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, { capture: true });
}
