// What is done with results: favourites, the trash, and many in one file. What is deleted can be taken back at once.

import { post } from "../api.js";
import { notice } from "../dom.js";
import { resultOf } from "../pictures.js";
import { plural } from "../words.js";

/** The most results that something is done with at a time. */
export const MOST_SELECTED = 500;

/** The event that tells this page of what it has done itself, a moment before dreamd tells every page. */
export const MARKED = "results-marked";

async function ask(deed, jobs) {
  const answer = await post(`api/v1/results/${deed}`, { jobs });
  document.dispatchEvent(new Event(MARKED));
  return answer;
}

export const star = (jobs, isFavourite) => ask(isFavourite ? "star" : "unstar", jobs);

/** Deletes results and says so, with a way back. */
export async function remove(jobs) {
  const { trashed, dismissed } = await ask("delete", jobs);
  const words = [
    trashed.length && `${plural(trashed.length, "result")} moved to the trash`,
    dismissed.length && `${plural(dismissed.length, "result")} dismissed that ${dismissed.length === 1 ? "was" : "were"} no longer in the outbox`,
  ].filter(Boolean).join("; ");
  notice(`${words}.`, { label: "Undo", act: () => restore([...trashed, ...dismissed]) });
}

export async function dismiss(jobs) {
  await ask("dismiss", jobs);
  notice(`${plural(jobs.length, "result")} dismissed.`, { label: "Undo", act: () => restore(jobs) });
}

export async function restore(jobs) {
  const { restored, lost } = await ask("restore", jobs);
  if (restored.length) notice(`${plural(restored.length, "result")} back in the gallery.`);
  if (lost.length) notice(`${plural(lost.length, "result")} no longer in the trash.`);
}

/** Where results are downloaded: one as it is, several as a ZIP. */
export const downloadOf = (jobs) => (jobs.length === 1 ? resultOf(jobs[0]) : `api/v1/results/zip?jobs=${jobs.join(",")}`);
