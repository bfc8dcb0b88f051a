// Clock and faults.

import { api } from "./api.js";
import { attempt, byId, make } from "./dom.js";

const QUICK = {
  "notify-lost": { label: "支付通知丢失", place: "pay.notify", name: "lost" },
  "notify-five": { label: "支付通知五次", place: "pay.notify", name: "duplicate", args: { count: 5 } },
  "notify-delay": { label: "支付通知迟到 60 秒", place: "pay.notify", name: "delay", args: { seconds: 60 } },
};

const MORE = {
  "notify-before": { label: "通知：比“支付成功”先到", place: "pay.notify", name: "before_answer" },
  "notify-probe": { label: "通知：签名探测流量", place: "pay.notify", name: "signtest" },
  "notify-wrong-key": { label: "通知：错误的签名", place: "pay.notify", name: "wrong_key" },
  "notify-stale": { label: "通知：一天前的时间戳", place: "pay.notify", name: "stale_timestamp" },
  "notify-amount": { label: "通知：金额被改", place: "pay.notify", name: "tamper_amount" },
  "notify-openid": { label: "通知：付款人被改", place: "pay.notify", name: "tamper_openid" },
  "notify-mchid": { label: "通知：商户号被改", place: "pay.notify", name: "tamper_mchid" },
  "prepay-500": { label: "下单：系统错误（没有下成）", place: "pay.prepay", name: "error_500" },
  "prepay-500-after": { label: "下单：系统错误（其实下成了）", place: "pay.prepay", name: "error_500_after" },
  "prepay-silent": { label: "下单：成功但没有应答", place: "pay.prepay", name: "effect_then_timeout" },
  "prepay-429": { label: "下单：频率超限", place: "pay.prepay", name: "rate_429" },
  "query-notpay": { label: "查单：先说未支付", place: "pay.query", name: "query_notpay_first" },
  "query-unsigned": { label: "查单：应答没有签名", place: "pay.query", name: "unsigned" },
  "push-lost": { label: "消息：第一次推送丢失", place: "push", name: "lost" },
  "push-answer": { label: "消息：站点的应答丢失", place: "push", name: "drop_answer" },
  "push-repeat": { label: "消息：同一条推送五次", place: "push", name: "repeat", args: { count: 4 } },
  "push-signature": { label: "消息：签名被改", place: "push", name: "tamper_signature" },
  "push-skew": { label: "消息：一小时前的时间戳", place: "push", name: "skew" },
  "custom-closed": { label: "客服消息：窗口已关闭", place: "custom_send", name: "window_closed" },
  "custom-token": { label: "客服消息：access_token 失效", place: "custom_send", name: "invalid_token" },
  "close-silent": { label: "关单：成功但没有应答", place: "pay.close", name: "effect_then_timeout" },
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
  for (const [key, fault] of Object.entries(MORE)) select.append(make("option", { value: key }, fault.label));
  select.addEventListener("change", () => {
    if (MORE[select.value]) add(MORE[select.value]);
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

/** What will go wrong next, in words. */
export async function showFaults() {
  const faults = await api.faults();
  const known = [...Object.values(QUICK), ...Object.values(MORE)];
  const texts = faults.map((fault) => {
    const match = known.find((item) => item.place === fault.place && item.name === fault.name);
    return match ? match.label : `${fault.place} · ${fault.name}`;
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
