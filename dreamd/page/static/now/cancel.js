// Cancelling what waits or runs, and taking that back.

import { post } from "../api.js";
import { make, notice, tried } from "../dom.js";
import { tellSaid } from "../orders.js";
import { folderName, plural } from "../words.js";

/** A button that cancels jobs. */
export const cancelButton = (jobs, label) => button(label, { jobs });

/** A button that cancels all that waits or runs in a folder and below it. */
export const cancelFolderButton = (folder, number, label) =>
  button(label, { folder }, number > 1 ? `Cancel ${plural(number, "picture")} of ${folderName(folder)}?` : null);

function button(label, order, question = null) {
  const key = `cancel ${order.folder ?? order.jobs[0]}`;
  return make("button", { type: "button", class: "quiet cancel", "data-key": key, "aria-label": label, title: label, onclick: () => (question === null || window.confirm(question)) && cancel(order) }, "Cancel");
}

const cancel = (order) => tried(async () => {
  const { said } = await post("api/cancel", order);
  const { jobs } = order;
  const isCancelled = jobs && said.every((line) => line.includes(": cancelled"));
  if (isCancelled) notice(`Cancelled: ${said[0].split(": ")[0]}`, { label: "Undo", act: () => post("api/retry", { jobs }) });
  else tellSaid(said);
});
