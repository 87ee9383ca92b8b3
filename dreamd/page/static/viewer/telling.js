// What is told of a result: its facts, and why there is nothing to compare it with.

import { make } from "../dom.js";
import { originalOf, resultOf } from "../pictures.js";
import { duration, filmLength, folderName, moment, plural } from "../words.js";

const MADE_FROM_NOISE = "A dream from nothing: it was made from noise, so there is no original.";
const DELETED = "Originals are not kept here, so there is nothing to compare with.";
const MISSING = "The original is no longer where originals are kept, so there is nothing to compare with.";
const TAKEN = "The result was moved or deleted out of the outbox, and with it what tells which original is its own.";
const ONLY_ORIGINAL = "The result was moved or deleted out of the outbox. This is its original.";

/** The facts of a result: pairs of a name and a value. */
export function facts(result) {
  const loss = (value) => Number(value).toPrecision(4);
  return [
    ["From", `${folderName(result.folder)}`],
    [result.from_nothing ? "Dream file" : result.original_media === "film" ? "Film" : "Picture", result.name],
    ["Finished", moment(result.finished_at)],
    ["Took", result.seconds === null ? "" : duration(result.seconds)],
    ["Size", result.size ? `${result.size[0]} × ${result.size[1]}` : ""],
    ["Pages", result.pages ? `${result.pages}, of which the first is shown and measured` : ""],
    ["Length", lengthOf(result)],
    ["Device", [result.device, result.precision].filter(Boolean).join(", ")],
    ["Tiles", result.tiling ?? ""],
    ...result.notes.map((note) => ["Note", note]),
    ["Loss", result.loss_after === null || result.loss_after === undefined ? "" : `${loss(result.loss_before)} → ${loss(result.loss_after)}`],
  ].filter(([, value]) => value !== "");
}

/** How long a film is; "" for a picture. */
function lengthOf({ frames, film_seconds: seconds }) {
  if (frames === null) return "";
  return seconds === null ? plural(frames, "frame") : `${filmLength(seconds)}, ${plural(frames, "frame")}`;
}

/** What the link to the result itself says. */
export const fullWords = ({ media }) => (media === "film" ? "Open in the browser's own player" : "Open at full size");

/** That the browser plays a film not, and how to come by it; `which` is "after" or "before". */
export function unplayable(result, which) {
  const name = which === "after" ? result.result.split("/").pop() : result.name;
  const kind = name.split(".").pop().toUpperCase();
  const whose = which === "after" ? "this film" : "the original";
  return [
    `This browser cannot play ${whose} (${kind}). `,
    make("a", { href: which === "after" ? resultOf(result.id) : originalOf(result.id), download: name }, "Download it"),
  ];
}

/** Why one of the two pictures is not shown; `kinds` are the classes of what shows them. */
export function why(result, kinds) {
  if (kinds.contains("lost") && !kinds.contains("single")) return result.is_there ? "The result cannot be shown small." : ONLY_ORIGINAL;
  if (result.from_nothing) return MADE_FROM_NOISE;
  if (!result.is_known) return TAKEN;
  return result.keeps_original ? MISSING : DELETED;
}
