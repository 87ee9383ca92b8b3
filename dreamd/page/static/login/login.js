import { make } from "../dom.js";
import { leave } from "./leaving.js";

const form = document.querySelector("form");

form.action += location.hash; // a form sends no place, which is kept over the sign-in

try {
  await leave();
} catch (error) {
  const words = `You are still signed in here: ${error.message}. `;
  form.prepend(make("p", { class: "wrong", role: "alert" }, words, make("a", { href: "./" }, "Go back"), " and sign out again."));
}
form.querySelector("button").disabled = false; // who signs in before that loses the place, or the new session with the old
