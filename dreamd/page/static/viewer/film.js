// A result that moves: played, and compared with what it was. One place, one button and one swipe for both.

import { byId } from "../dom.js";
import { originalOf, resultOf, thumbnailOf } from "../pictures.js";
import { count, filmLength, filmTime } from "../words.js";
import { Pair } from "./pair.js";

const SHORT_SECONDS = 60; // such a film begins by itself, silent, and goes round

let pair = null;
let shown = null; // the result, if it moves
let moves = false; // whether an animation does: a browser shows it, and tells nothing of its frames

/** Sets up the controls; `failed` is called with "after" or "before" when the browser cannot play that. */
export function setUpFilm({ failed }) {
  pair = new Pair(byId("film-after"), byId("film-before"), {
    moved: showPlace,
    turned: showState,
    failed: (video) => {
      const which = video.id.replace("film-", "");
      if (which === "after") closeFilm();
      else pair.drop(video);
      failed(which);
    },
  });
  byId("film-play").addEventListener("click", turn);
  byId("film-back").addEventListener("click", () => step(-1));
  byId("film-on").addEventListener("click", () => step(1));
  byId("film-sound").addEventListener("click", turnSound);
  byId("film-scrub").addEventListener("input", (event) => pair.seek(pair.middleOf(Number(event.target.value))));
}

/** Shows what moves of a result, over the still pictures of it. */
export function showFilm(result) {
  closeFilm();
  if (result.media === "picture" || !result.is_there || !result.is_known) return;
  shown = result;
  const isFilm = result.media === "film";
  byId("film").hidden = false;
  for (const part of ["back", "on", "scrub", "frame", "time", "sound"]) byId(`film-${part}`).hidden = !isFilm;
  byId("film-scrub").max = result.frames - 1;
  const isShort = (result.film_seconds ?? 0) <= SHORT_SECONDS;
  if (isFilm) {
    const before = result.original_media === "film" && result.keeps_original ? originalOf(result.id) : null;
    pair.load(resultOf(result.id), before, { rate: result.frames / (result.film_seconds ?? result.frames / 25), loops: isShort });
  }
  showPlace();
  showState();
  if (isShort && !matchMedia("(prefers-reduced-motion: reduce)").matches) turn();
}

export function closeFilm() {
  pair.clear();
  shown = null;
  moves = false;
  byId("film").hidden = true;
}

/** The original is not there. */
export const playAlone = () => pair.drop(byId("film-before"));

/** What a key does, if anything. */
export function pressFilm(event) {
  if (shown === null || event.target.matches("pre, textarea, input:not([type='range'])")) return false;
  const isFilm = shown.media === "film";
  if (event.key === "k" || (event.key === " " && !event.target.matches("button, a, summary"))) turn();
  else if (isFilm && event.key === ",") step(-1);
  else if (isFilm && event.key === ".") step(1);
  else if (isFilm && event.key === "m") turnSound();
  else return false;
  return true;
}

function turn() {
  if (shown.media === "animation") turnAnimation();
  else if (pair.isPlaying) pair.pause();
  else pair.play();
}

/** Puts the animation itself in place of its first frame, or takes it away. Both begin in one moment, once they are here. */
async function turnAnimation() {
  moves = !moves;
  showState();
  const { id, original_media: kind } = shown;
  const sources = moves ? [resultOf(id), originalOf(id)] : [thumbnailOf(id, "after", "large"), thumbnailOf(id, "before", "large")];
  const images = [byId("compare-after"), byId("compare-before")].filter((image, index) => image.hasAttribute("src") && (!index || kind === "animation"));
  const wanted = moves;
  await Promise.allSettled(images.map((_, index) => loaded(sources[index])));
  if (shown?.id !== id || moves !== wanted) return;
  images.forEach((image, index) => (image.src = sources[index]));
}

function loaded(source) {
  const image = new Image();
  image.src = source;
  return image.decode();
}

function step(way) {
  pair.pause();
  pair.seek(pair.middleOf(Math.max(0, Math.min(shown.frames - 1, pair.frame + way))));
}

function turnSound() {
  const video = byId("film-after");
  video.muted = !video.muted;
  showState();
}

function showPlace() {
  if (shown?.media !== "film") return;
  const frame = Math.min(shown.frames - 1, pair.frame);
  const whole = Number.isNaN(pair.duration) ? shown.film_seconds : pair.duration;
  const place = `${filmTime(pair.time)}${whole ? ` / ${filmLength(whole)}` : ""}`;
  byId("film-scrub").value = frame;
  byId("film-scrub").setAttribute("aria-valuetext", `${place}, frame ${count(frame + 1)} of ${count(shown.frames)}`);
  byId("film-scrub").style.setProperty("--done", shown.frames > 1 ? frame / (shown.frames - 1) : 1);
  byId("film-frame").textContent = `frame ${count(frame + 1)}`;
  byId("film-time").textContent = place;
  byId("film-sound").hidden = !mayHaveSound(byId("film-after"));
}

/** Whether a film has sound, as far as the browser tells: each does it in a way of its own. */
const mayHaveSound = (video) =>
  video.mozHasAudio ?? (video.audioTracks ? video.audioTracks.length > 0 : (video.webkitAudioDecodedByteCount ?? 1) > 0);

function showState() {
  const isPlaying = shown?.media === "animation" ? moves : pair.isPlaying;
  byId("film").classList.toggle("playing", isPlaying);
  byId("film-play").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
  byId("film-sound").setAttribute("aria-pressed", String(!byId("film-after").muted));
}
