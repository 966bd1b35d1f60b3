// Verifies a message: the symmetric kind with the official library, ed25519 with Node's own cryptography.
//
//     node verify.mjs whsec_…|whpk_… < {"headers": {…}, "body": "…"}

import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const secret = process.argv[2];
const { headers, body } = JSON.parse(readFileSync(0, "utf8"));
if (secret.startsWith("whsec_")) {
  new Webhook(secret).verify(body, headers);
} else {
  const x = Buffer.from(secret.slice("whpk_".length), "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const content = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const good = headers["webhook-signature"]
    .split(" ")
    .filter((each) => each.startsWith("v1a,"))
    .some((each) => verify(null, content, key, Buffer.from(each.slice(4), "base64")));
  if (!good) throw new Error("no signature fits");
}
console.log("verified");
