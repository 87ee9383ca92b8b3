// What a tile shows while somebody looks closer: a film plays, and a picture is seen as it was.

import { make } from "../dom.js";
import { resultOf, thumbnailOf } from "../pictures.js";

const HOVER_MILLISECONDS = 140;

/**
 * Shows it while a mouse rests on the tile, or it has the focus; a finger that presses shows it too. `sources` are the
 * sizes in which its original is to be had.
 */
export function lookCloser(result, link, sources) {
  const moves = result.media !== "picture" && !matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!moves && !result.keeps_original) return;
  let timer = 0;
  const show = () => {
    clearTimeout(timer);
    link.classList.add("looked-at");
    if (!link.querySelector(".closer")) link.querySelector("img")?.after(moves ? moving(result) : original(result, link, sources));
  };
  const hide = () => {
    clearTimeout(timer);
    link.classList.remove("looked-at");
    if (moves) stop(link.querySelector(".closer"));
  };
  link.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse") timer = setTimeout(show, HOVER_MILLISECONDS);
  });
  link.addEventListener("pointerleave", hide);
  link.addEventListener("focus", () => link.matches(":focus-visible") && show());
  link.addEventListener("blur", hide);
  link.addEventListener("press", show);
  link.addEventListener("release", hide);
}

function original(result, link, sources) {
  const { sizes } = link.querySelector("img");
  const image = make("img", { class: "closer original", alt: "", decoding: "async", draggable: "false", ...sources, ...(sizes && { sizes }) });
  return coming(image, "load", thumbnailOf(result.id, "before", "small"));
}

/** The result itself, silent and over and over. What a browser cannot play stays as it is. */
function moving(result) {
  if (result.media === "animation") return coming(make("img", { class: "closer", alt: "", draggable: "false" }), "load", resultOf(result.id));
  const video = make("video", { class: "closer", loop: true, playsinline: true, disablepictureinpicture: true, tabindex: -1, "aria-hidden": "true" });
  video.muted = video.autoplay = true;
  return coming(video, "playing", resultOf(result.id));
}

function coming(element, arrival, source) {
  element.addEventListener(arrival, () => element.classList.add("here"));
  element.addEventListener("error", () => element.remove());
  element.src = source;
  return element;
}

/** Takes what moves away, and has nothing more of it sent. */
function stop(element) {
  if (!element) return;
  element.remove();
  element.removeAttribute("src");
  if (element.load) element.load();
}
