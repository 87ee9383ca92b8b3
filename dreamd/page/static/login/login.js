import { make } from "../dom.js";
import { leave } from "./leaving.js";

const form = document.querySelector("form");
const button = form.querySelector("button");

form.action += location.hash; // a form sends no place, which is kept over the sign-in

button.disabled = true; // until the old session is over, or that would end the new one
try {
  await leave();
} catch (error) {
  const words = `You are still signed in here: ${error.message}. `;
  form.prepend(make("p", { class: "wrong", role: "alert" }, words, make("a", { href: "./" }, "Go back"), " and sign out again."));
}
button.disabled = false;
