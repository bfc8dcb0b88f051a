// On every page: copy buttons, and forms that cannot be sent twice.
import { busy, toast } from "./ui.js";

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("已复制");
  } catch {
    toast(`请长按复制：${text}`);
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button.dataset.copy);
});

document.addEventListener("submit", (event) => {
  const button = event.submitter ?? event.target.querySelector("button");
  if (button && event.target.method === "post") busy(button, true);
});

// Coming back by the back button shows the page as it was left: free its buttons.
addEventListener("pageshow", () => {
  document.querySelectorAll("button[aria-busy=true]").forEach((button) => busy(button, false));
});

document.querySelector("[data-error-summary]")?.focus();

// A menu that is wider than the phone shows the open page.
document.querySelector(".menu [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
