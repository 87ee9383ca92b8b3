// Cancelling what waits or runs, and taking that back.

import { post } from "../api.js";
import { byId, make, notice } from "../dom.js";
import { folderName, plural } from "../words.js";

const UNDO_SECONDS = 12;

/** A button that cancels jobs. */
export const cancelButton = (jobs, label) => button(label, { jobs });

/** A button that cancels all that waits or runs in a folder and below it. */
export const cancelFolderButton = (folder, number, label) =>
  button(label, { folder }, number > 1 ? `Cancel ${plural(number, "picture")} of ${folderName(folder)}?` : null);

function button(label, order, question = null) {
  const key = `cancel ${order.folder ?? order.jobs[0]}`;
  return make("button", { type: "button", class: "quiet cancel", "data-key": key, "aria-label": label, title: label, onclick: () => (question === null || window.confirm(question)) && cancel(order) }, "Cancel");
}

async function cancel(order) {
  try {
    const { said } = await post("api/cancel", order);
    if (order.jobs && said.every((line) => line.includes(": cancelled"))) offerUndo(order.jobs, said[0].split(": ")[0]);
    else said.slice(0, 3).forEach(notice);
  } catch (error) {
    notice(error.message);
  }
}

/** Says that something was cancelled, with a button that takes it back. */
function offerUndo(jobs, name) {
  const line = make("p", {}, `Cancelled: ${name} `, make("button", { type: "button", class: "undo", onclick: () => undo(jobs, line) }, "Undo"));
  byId("notices").append(line);
  setTimeout(() => line.remove(), UNDO_SECONDS * 1000);
}

async function undo(jobs, line) {
  line.remove();
  try {
    await post("api/retry", { jobs });
  } catch (error) {
    notice(error.message);
  }
}
