// A consumer of asr-gateway's webhooks: prints what is said, ignores repeats, notices a gap.
//
//     npm install standardwebhooks
//     WEBHOOK_SECRET=whsec_… node consumer.mjs 8090

import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);
const last = new Map(); // call -> seq of the last durable event; a real consumer keeps this where it keeps its data

function take({ type, seq, call: { id }, data }) {
  if (type === "transcript.partial") return; // may still change; good for a live view, never for a record
  const before = last.get(id) ?? 0;
  if (seq <= before) return; // a repeat: sent again because our answer was lost, or because somebody asked for it
  if (seq > before + 1) console.log(`${id} begins here at seq ${seq}: what came before is another consumer's`);
  if (type === "transcript.final" || type === "transcript.refined") {
    console.log(`${id} ${seq} ${data.leg} #${data.utterance}: ${data.text}`);
  } else if (type === "call.transcript.completed") {
    const words = data.utterances.map((said) => said.text).join(" ");
    console.log(`${id} ${seq} ${data.complete ? "complete" : "INCOMPLETE"}: ${words}`);
  } else {
    console.log(`${id} ${seq} ${type}`);
  }
  last.set(id, seq); // only now: an exception above means no 2xx, and the event comes again
}

createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    let status = 204;
    try {
      take(webhook.verify(Buffer.concat(parts).toString(), request.headers));
    } catch {
      status = 401;
    }
    response.writeHead(status, { "content-length": "0" }).end();
  });
}).listen(Number(process.argv[2]), "127.0.0.1");
