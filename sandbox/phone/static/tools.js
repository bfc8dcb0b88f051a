// Clock and faults.

import { api } from "./api.js";
import { attempt, byId, make } from "./dom.js";

const QUICK = {
  "notify-lost": { label: "支付通知丢失", place: "pay.notify", name: "lost" },
  "notify-five": { label: "支付通知五次", place: "pay.notify", name: "duplicate", args: { count: 5 } },
  "notify-delay": { label: "支付通知迟到 60 秒", place: "pay.notify", name: "delay", args: { seconds: 60 } },
};

/** Buttons of the tool bar. `advanced()` is called after the clock has moved. */
export function startTools(advanced) {
  for (const button of document.querySelectorAll("[data-advance]")) {
    button.addEventListener("click", () => attempt(async () => {
      await api.advance(Number(button.dataset.advance));
      await showClock();
      advanced();
    }));
  }
  for (const button of document.querySelectorAll("[data-fault]")) {
    button.addEventListener("click", () => add(QUICK[button.dataset.fault]));
  }
  const select = byId("fault-select");
  attempt(() => offerFaults(select));
  select.addEventListener("change", () => {
    const [place, name] = select.value.split(" ");
    if (name) add({ place, name });
    select.value = "";
  });
  byId("reset").addEventListener("click", () => attempt(async () => {
    await api.reset();
    location.reload();
  }));
  byId("fault-clear").addEventListener("click", () => attempt(async () => {
    await api.clearFaults();
    await showFaults();
  }));
}

function add(fault) {
  return attempt(async () => {
    await api.addFault({ place: fault.place, name: fault.name, times: 1, args: fault.args || {} });
    await showFaults();
  });
}

/** Everything that can go wrong, place by place, as the sandbox lists it. */
async function offerFaults(select) {
  const { places, kinds } = await api.faults();
  for (const [place, { zh }] of Object.entries(places)) {
    const group = make("optgroup", { label: zh });
    for (const kind of kinds.filter((item) => item.name !== "none" && item.places.includes(place))) {
      group.append(make("option", { value: `${place} ${kind.name}` }, `${zh}：${kind.zh}`));
    }
    select.append(group);
  }
}

/** What will go wrong next, in words. */
export async function showFaults() {
  const { faults, places, kinds } = await api.faults();
  const texts = faults.map((fault) => {
    const quick = Object.values(QUICK).find((item) => item.place === fault.place && item.name === fault.name);
    const kind = kinds.find((item) => item.name === fault.name && item.places.includes(fault.place));
    return quick ? quick.label : `${places[fault.place].zh}：${kind.zh}`;
  });
  byId("fault-list").textContent = texts.length ? `将要发生：${texts.join("；")}` : "没有故障";
}

/** The virtual time, in the tool bar and on the phone. */
export async function showClock() {
  const answer = await api.clock();
  const seconds = answer.timestamp ?? Date.parse(answer.now) / 1000;
  const moment = new Date(seconds * 1000);
  const zone = { timeZone: "Asia/Shanghai", hour12: false };
  byId("clock").textContent = moment.toLocaleString("zh-CN", zone);
  byId("phone-time").textContent = moment.toLocaleTimeString("zh-CN", { ...zone, hour: "2-digit", minute: "2-digit" });
}
