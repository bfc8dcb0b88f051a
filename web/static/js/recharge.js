// The recharge page: the sum on the button, and the name behind somebody else's account.
import { ask } from "./ui.js";

const form = document.querySelector("[data-recharge]");
const other = form.elements.amount_other;
const label = form.querySelector("[data-sum]");
const box = form.querySelector("[data-other-amount]");

function showSum() {
  const chosen = form.elements.amount.value;
  box.hidden = chosen !== "other";
  const text = chosen === "other" ? other.value.trim() : chosen;
  const yuan = /^\d{1,6}(\.\d{1,2})?$/.test(text) ? Number(text).toFixed(2) : "";
  label.textContent = yuan ? ` ¥${yuan}` : "";
}

form.querySelectorAll("[name=amount]").forEach((radio) => {
  radio.addEventListener("change", () => {
    showSum();
    if (radio.value === "other") other.focus();
  });
});
other.addEventListener("input", showSum);
showSum();

const account = form.elements.account;
const again = form.elements.account_again;
const tick = form.querySelector("[data-tick]");
const nameText = form.querySelector("[data-name]");
const nameNote = form.querySelector("[data-name-note]");
let asked = tick.hidden ? "" : account.value.trim();

function forgetName() {
  asked = "";
  tick.hidden = true;
  form.elements.confirmed.checked = false;
  nameNote.textContent = "";
}

async function showName() {
  const typed = account.value.trim();
  if (!typed || typed !== again.value.trim()) {
    forgetName();
    if (typed && again.value.trim()) nameNote.textContent = "两次输入的账号不一致";
    return;
  }
  if (typed === asked) return;
  forgetName();
  asked = typed;
  try {
    const found = await ask(`/h5/name?account=${encodeURIComponent(typed)}`);
    if (asked !== typed) return;
    nameText.textContent = found.name;
    form.elements.confirmed.value = found.account;
    tick.hidden = false;
  } catch (error) {
    asked = "";
    nameNote.textContent = error.message;
  }
}

account.addEventListener("change", showName);
again.addEventListener("change", showName);
account.addEventListener("input", () => { if (asked) forgetName(); });
again.addEventListener("input", () => { if (again.value.trim() === account.value.trim()) showName(); });

// A folded account must not be recharged by surprise.
form.querySelector("details[data-someone-else]")?.addEventListener("toggle", (event) => {
  if (!event.target.open) {
    account.value = "";
    again.value = "";
    forgetName();
  }
});
