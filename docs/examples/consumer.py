"""A consumer of asr-gateway's webhooks: prints what is said, ignores repeats, notices a gap.

pip install standardwebhooks
WEBHOOK_SECRET=whsec_… python consumer.py 8090
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
last = {}  # call -> seq of the last durable event; a real consumer keeps this where it keeps its data


def take(event):
    """Takes one authentic event."""
    call, seq, data = event["call"]["id"], event["seq"], event["data"]
    if event["type"] == "transcript.partial":
        return  # may still change; good for a live view, never for a record
    if seq <= last.get(call, 0):
        return  # a repeat: sent again because our answer was lost, or because somebody asked for it
    if seq > last.get(call, 0) + 1:
        print(f"{call} begins here at seq {seq}: what came before is another consumer's", flush=True)
    if event["type"] in ("transcript.final", "transcript.refined"):
        print(f"{call} {seq} {data['leg']} #{data['utterance']}: {data['text']}", flush=True)
    elif event["type"] == "call.transcript.completed":
        words = " ".join(said["text"] for said in data["utterances"])
        print(f"{call} {seq} {'complete' if data['complete'] else 'INCOMPLETE'}: {words}", flush=True)
    else:
        print(f"{call} {seq} {event['type']}", flush=True)
    last[call] = seq  # only now: an exception above means no 2xx, and the event comes again


class Handler(BaseHTTPRequestHandler):
    """Verifies each request before anything else looks at it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Answers one request."""
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            webhook.verify(body, dict(self.headers))
            take(json.loads(body))
            status = 204
        except WebhookVerificationError:
            status = 401
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
