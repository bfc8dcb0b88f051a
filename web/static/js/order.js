// What is paid: ask how it stands, often at first, then seldom, never while hidden.
import { ask } from "./ui.js";

const PLAN_S = [1, 1, 2, 2, 3, 5, 5, 10, 10, 20, 30, 60];
// Before the payment somebody has to take the phone out: evenly, for three minutes, for ten, for longer.
const WAITING_S = [[60, 3], [144, 5], [Infinity, 15]];
// The login has ended, or the page has: asking again changes nothing.
const OVER = [401, 403, 404];

const live = document.querySelector("[data-live]");
const status = document.querySelector("[data-status]");
const begun = Date.now();
let round = 0;
let timer;

function pause() {
  if (live.dataset.step === "waiting") return WAITING_S.find(([rounds]) => round < rounds)[1];
  return PLAN_S[Math.min(round, PLAN_S.length - 1)];
}

function plan() {
  clearTimeout(timer);
  if (live.dataset.settled === "true" || document.hidden) return;
  timer = setTimeout(look, pause() * 1000);
  round += 1;
}

function address() {
  if (live.dataset.state) return live.dataset.state;
  const paid = live.dataset.justPaid === "true";
  const query = paid ? `?paid=1&waited_s=${Math.floor((Date.now() - begun) / 1000)}` : "";
  return `${location.pathname}/state${query}`;
}

async function look() {
  try {
    show(await ask(address()));
  } catch (error) {
    // A page that lost the network keeps what it shows and asks again later.
    if (OVER.includes(error.status)) stop(error.message);
  }
  plan();
}

function show(now) {
  const settled = String(now.settled);
  // A swap that follows the money ends later than the step of the money.
  if (now.step === live.dataset.step && settled === live.dataset.settled) return;
  if (now.step !== live.dataset.step) round = 0;
  live.dataset.settled = settled;
  live.dataset.step = now.step;
  live.innerHTML = now.html;
  status.textContent = now.title;
}

function stop(why) {
  live.dataset.settled = "true";
  const note = document.createElement("p");
  note.className = "note note-warn";
  note.textContent = why;
  live.prepend(note);
  status.textContent = why;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else { round = 0; plan(); }
});
// Loading the page again shows the same result instead of asking for money anew.
if (live.dataset.here) history.replaceState(history.state, "", live.dataset.here);
plan();
