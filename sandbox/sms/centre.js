// An SMS centre in a box: takes texts over SMPP 3.4 and hands each to the phone in the inbox page.
//
//   node centre.js [--port 2775] [--control-port 0] [--inbox http://127.0.0.1:8102]
//                  [--system-id sandbox] [--password secret] [--until-stdin-ends]
//
// Prints one line of JSON once it listens. POST /control/faults {kind, times} on the control port, loopback only:
// throttled, queue_full, bad_number, odd (a status nobody lists), silent_bind, refused_bind, silent, drop,
// throttled_second (the second part of a text).

import { createServer } from "node:http";
import { parseArgs } from "node:util";
import smpp from "smpp";

const STATUS = { throttled: 0x58, queue_full: 0x14, bad_number: 0x0b, odd: 0x3ff, throttled_second: 0x58 };
const FAULTS = [...Object.keys(STATUS), "silent_bind", "refused_bind", "silent", "drop"];
const { values: asked } = parseArgs({
  options: {
    port: { type: "string", default: "2775" },
    "control-port": { type: "string", default: "0" },
    inbox: { type: "string", default: "http://127.0.0.1:8102" },
    "system-id": { type: "string", default: "sandbox" },
    password: { type: "string", default: "secret" },
    "until-stdin-ends": { type: "boolean", default: false },
  },
});

let fault = { kind: null, times: 0 };
let taken = 0;
const submitted = []; // what came over the wire, for those who look closer
const unfinished = new Map(); // number and reference -> the parts so far

function happens(...kinds) {
  if (!kinds.includes(fault.kind) || fault.times <= 0) return null;
  fault.times -= 1;
  return fault.kind;
}

// The text once it is whole, else null. A header is 00 03 reference total number.
function whole(to, message) {
  const header = message.udh?.find((one) => one[0] === 0);
  if (!header) return message.message;
  const [, , reference, total, number] = header;
  const key = `${to} ${reference}`;
  const parts = unfinished.get(key) ?? new Map();
  unfinished.set(key, parts.set(number, message.message));
  if (parts.size < total) return null;
  unfinished.delete(key);
  return [...parts].sort(([one], [other]) => one - other).map(([, text]) => text).join("");
}

async function deliver(from, to, text) {
  const answer = await fetch(`${asked.inbox}/control/texts`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ from, to, text }),
  });
  if (!answer.ok) throw new Error(`the inbox answers ${answer.status}`);
}

async function take(session, pdu) {
  const number = pdu.short_message.udh?.find((one) => one[0] === 0)?.[4] ?? 1;
  const kind =
    number === 2 ? happens("throttled_second") : happens("throttled", "queue_full", "bad_number", "odd", "silent", "drop");
  if (kind in STATUS) return session.send(pdu.response({ command_status: STATUS[kind] }));
  taken += 1;
  submitted.push({ data_coding: pdu.data_coding, esm_class: pdu.esm_class, part: number });
  const text = whole(pdu.destination_addr, pdu.short_message);
  const to = `+${pdu.destination_addr}`;
  if (text !== null) await deliver(pdu.source_addr, to, text);
  if (kind === "drop") return session.destroy();
  if (kind !== "silent") session.send(pdu.response({ message_id: `centre-${taken}` }));
}

const centre = smpp.createServer((session) => {
  session.on("error", () => session.destroy());
  session.on("bind_transmitter", (pdu) => {
    const known = pdu.system_id === asked["system-id"] && pdu.password === asked.password;
    const kind = happens("silent_bind", "refused_bind");
    if (kind === "silent_bind") return;
    if (!known || kind) session.send(pdu.response({ command_status: known ? smpp.ESME_RALYBND : smpp.ESME_RINVPASWD }));
    else session.send(pdu.response());
  });
  session.on("submit_sm", (pdu) => take(session, pdu).catch(() => session.destroy()));
  session.on("unbind", (pdu) => {
    session.send(pdu.response());
    session.close();
  });
  session.on("enquire_link", (pdu) => session.send(pdu.response()));
});

const control = createServer(async (request, response) => {
  let body = "";
  for await (const piece of request) body += piece;
  let status = 200;
  if (request.method === "POST" && request.url === "/control/faults") {
    const { kind, times = 1 } = JSON.parse(body);
    if (kind === null || FAULTS.includes(kind)) fault = { kind, times };
    else status = 400;
  }
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify({ taken, submitted, fault, kinds: FAULTS }));
});

centre.listen(Number(asked.port), "127.0.0.1", () => {
  control.listen(Number(asked["control-port"]), "127.0.0.1", () => {
    console.log(JSON.stringify({ smpp: centre.address().port, control: control.address().port }));
  });
});

if (asked["until-stdin-ends"]) process.stdin.resume().on("end", () => process.exit());
