// The sandbox's own HTTP interface, as functions.

async function ask(path, options) {
  const response = await fetch(path, options);
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error || `${path} → ${response.status}`);
  return body;
}

function post(path, body = {}) {
  return ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** The list under `name`, or the answer itself when it is the list. */
function listOf(answer, name) {
  return Array.isArray(answer) ? answer : answer[name] || [];
}

export const api = {
  students: async () => listOf(await ask("/sim/students"), "students"),
  act: (student, verb, body) => post(`/sim/students/${encodeURIComponent(student)}/${verb}`, body),
  transcript: async (student, after) =>
    listOf(await ask(`/sim/students/${encodeURIComponent(student)}/transcript?after=${after}`), "bubbles"),
  wire: async (after, waitS, signal) =>
    listOf(await ask(`/sim/wire?after=${after}&wait=${waitS}`, { signal }), "exchanges"),
  replay: (id) => post(`/sim/wire/${id}/replay`),
  menu: async () => {
    const answer = await ask("/sim/menu");
    return listOf(answer.menu || answer, "button");
  },
  clock: () => ask("/sim/clock"),
  advance: (seconds) => post("/sim/clock/advance", { seconds }),
  faults: () => ask("/sim/faults"),
  addFault: (fault) => post("/sim/faults", fault),
  clearFaults: () => ask("/sim/faults", { method: "DELETE" }),
  invokePay: (openid, params) => post("/sim/pay/invoke", { openid, params }),
  confirmPay: (token, password) => post("/sim/pay/confirm", { pay_token: token, password }),
  cancelPay: (token) => post("/sim/pay/cancel", { pay_token: token }),
  reset: () => post("/sim/reset"),
  me: () => ask("/sim/phone/me"),
};
