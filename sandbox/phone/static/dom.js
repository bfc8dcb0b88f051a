// Small helpers around the DOM; nothing is ever built from HTML text.

export const byId = (id) => document.getElementById(id);

/** An element with properties (`class`, `data-*`, `aria-*` as attributes) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export const yuan = (fen) => `¥${(fen / 100).toFixed(2)}`;

let toastTimer = 0;

/** A sentence over the phone for three seconds. */
export function toast(text) {
  const place = byId("toast");
  place.textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { place.textContent = ""; }, 3000);
}

/** Run a journey; its failure becomes a toast, not a silent rejection. */
export async function attempt(journey) {
  try {
    return await journey();
  } catch (error) {
    toast(`没有成功：${error.message}`);
    return undefined;
  }
}
