// One order: ask how it stands, often at first, then seldom, never while hidden.
import { ask } from "./ui.js";

const PLAN_S = [1, 1, 2, 2, 3, 5, 5, 10, 10, 20, 30, 60];

const live = document.querySelector("[data-live]");
const status = document.querySelector("[data-status]");
const begun = Date.now();
let step = live.dataset.step;
let round = 0;
let timer;

function plan() {
  clearTimeout(timer);
  if (live.dataset.settled === "true" || document.hidden) return;
  timer = setTimeout(look, PLAN_S[Math.min(round, PLAN_S.length - 1)] * 1000);
  round += 1;
}

async function look() {
  const paid = live.dataset.justPaid === "true";
  const query = paid ? `?paid=1&waited_s=${Math.floor((Date.now() - begun) / 1000)}` : "";
  try {
    show(await ask(`${location.pathname}/state${query}`));
  } catch {
    // A page that lost the network keeps what it shows and asks again later.
  }
  plan();
}

function show(now) {
  const settled = String(now.settled);
  // A swap that follows the money ends later than the step of the money.
  if (now.step === step && settled === live.dataset.settled) return;
  live.dataset.settled = settled;
  step = now.step;
  live.innerHTML = now.html;
  status.textContent = now.title;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else { round = 0; plan(); }
});
plan();
