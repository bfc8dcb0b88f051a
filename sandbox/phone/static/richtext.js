// A text message as WeChat shows it: only <a href> of two kinds means something, all else is letters.

import { make } from "./dom.js";

const ANCHOR = /<a\s[^>]*?href\s*=\s*(?:"([^"]*)"|'([^']*)')[^>]*>([\s\S]*?)<\/a>/gi;
const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'" };

const decode = (text) => text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity]);

/**
 * Nodes of one text.
 * @param {string} text as the site sent it
 * @param {{openPage: (url: string) => void, tapWord: (content: string, id: string) => void}} taps
 */
export function textNodes(text, taps) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(ANCHOR)) {
    nodes.push(text.slice(end, match.index), anchorNode(decode(match[1] ?? match[2] ?? ""), match[3], taps));
    end = match.index + match[0].length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((node) => node !== "");
}

function anchorNode(address, label, taps) {
  const url = URL.parse ? URL.parse(address) : tryUrl(address);
  if (url && (url.protocol === "http:" || url.protocol === "https:")) {
    return make("button", { type: "button", class: "word", "data-href": address, onclick: () => taps.openPage(address) }, label);
  }
  if (/^weixin:\/\/bizmsgmenu\?/i.test(address)) {
    const query = new URLSearchParams(address.slice(address.indexOf("?") + 1));
    const content = query.get("msgmenucontent") || label;
    const id = query.get("msgmenuid") || "";
    return make("button", { type: "button", class: "word", "data-word": content, onclick: () => taps.tapWord(content, id) }, label);
  }
  return label;
}

function tryUrl(address) {
  try {
    return new URL(address);
  } catch {
    return null;
  }
}
