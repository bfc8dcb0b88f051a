// What several pages share: the CSRF token, JSON calls, a short message, a busy button.

const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

/** Ask our server for JSON. Rejects with an Error whose message may be shown; `status` where it answered. */
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      ...options,
      credentials: "same-origin",
      headers: { Accept: "application/json", "X-CSRFToken": token },
    });
  } catch {
    throw new Error("网络不通，请检查后重试");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const text = body.message ? `${body.message}（${body.code}）` : "系统正忙，请稍后再试";
    throw Object.assign(new Error(text), { status: answer.status });
  }
  return body;
}

/** Show a sentence for a few seconds; screen readers say it. */
export function toast(text) {
  document.querySelector(".toast")?.remove();
  const box = document.createElement("div");
  box.className = "toast";
  box.setAttribute("role", "status");
  document.body.append(box);
  // Text that arrives after the region is announced; text that came with it is not.
  requestAnimationFrame(() => { box.textContent = text; });
  setTimeout(() => box.remove(), 3500);
}

/** A button that works, or is free again. */
export function busy(button, on) {
  button.disabled = on;
  button.setAttribute("aria-busy", String(on));
}
