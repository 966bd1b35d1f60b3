"""The torture messages of RFC 4475, by the RFC's own names, each rebuilt with its quirk as section 3 describes it.

They are sent from a source that the gateway knows, so that they get as far into the stack as they can.
"""

from __future__ import annotations

SDP = (
    "v=0\r\no=mhandley 29739 7272939 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n"
    "m=audio 49217 RTP/AVP 0 12\r\nm=video 3227 RTP/AVP 31\r\na=rtpmap:31 LPC\r\n"
)


def request(name: str, *, method: str = "INVITE", uri: str = "sip:user@example.com", **changes: str | None) -> bytes:
    """Returns an ordinary request with some headers replaced (or left out, for None) and others added.

    Args:
        name: Of the message; makes its Call-ID and branch.
        method: Of the request line and of CSeq.
        uri: Of the request line.
        changes: Values by header name with ``_`` for ``-``; ``body`` is the body, ``line`` the whole request line.
    """
    body = changes.pop("body", SDP if method == "INVITE" else "") or ""
    line = changes.pop("line", None) or f"{method} {uri} SIP/2.0"
    headers: dict[str, str | None] = {
        "Via": f"SIP/2.0/UDP host5.example.net;branch=z9hG4bK-{name}",
        "From": "<sip:caller@example.net>;tag=34525",
        "To": "<sip:user@example.com>",
        "Call-ID": f"{name}.0ha0isndaksdj@192.0.2.1",
        "CSeq": f"8 {method}",
        "Max-Forwards": "70",
        "Contact": "<sip:caller@host5.example.net>",
        "Content-Type": "application/sdp" if body else None,
        "Content-Length": str(len(body.encode("utf-8", "surrogateescape"))),
    }
    headers.update({key.replace("_", "-"): value for key, value in changes.items()})
    lines = [line, *(f"{key}: {value}" for key, value in headers.items() if value is not None)]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("utf-8", "surrogateescape")


def _short_tortuous() -> bytes:
    head = (
        "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\nTO :\r\n"
        " sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n"
        'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
        "MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : {length}\r\ncseq: 0009\r\n"
        "  INVITE\r\n"
        "Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\n"
        "NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
        "UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nContent-Type: application/sdp\r\n"
        "Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n"
        "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
        " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
        'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n'
        "  secondparam ; q = 0.33\r\n\r\n"
    )
    return (head.replace("{length}", str(len(SDP))) + SDP).encode()


def _method_of_odd_characters() -> bytes:
    method = "!interesting-Method0123456789_*+`.%indeed'~"
    return request(
        "intmeth",
        method=method,
        uri="sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
        To='"BEL:\x07 NUL:\x00 DEL:\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*@example.com>',
        From="token1~` token2'+_ token3*%!.- <sip:mundane@example.com>"
        ";fromparam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
        Extensionheader_one="大停電",
    )


LONG = "long" * 60
MESSAGES: dict[str, bytes] = {
    # 3.1.1 valid messages
    "wsinv": _short_tortuous(),
    "intmeth": _method_of_odd_characters(),
    "esc01": request("esc01", uri="sip:sips%3Auser%40example.com@example.net", To="sip:%75se%72@example.com"),
    "escnull": request(
        "escnull", method="REGISTER", To="sip:null-%00-null@example.com", Contact="<sip:%00%00@host5.example.com>"
    ),
    "esc02": request("esc02", method="RE%47IST%45R", Contact="<sip:alias%31@host1.example.com>"),
    "lwsdisp": request("lwsdisp", method="OPTIONS", From="caller<sip:caller@example.com>;tag=323"),
    "longreq": request(
        "longreq",
        To=f'"I have a user name of {LONG}" <sip:{LONG}:{LONG}@example.com:6000;unknownparam1={LONG}>',
        From=f"sip:{LONG}@example.net;tag=12982424;unknownheaderparamname{LONG}=unknown{LONG};verylong{LONG}",
        Unknown_Long_Header=LONG * 4,
        Via=", ".join(f"SIP/2.0/TCP sip{number}.example.com;branch=z9hG4bK{number}" for number in range(34)),
        Contact=f"<sip:{LONG}@host5.example.net>;{LONG}",
    ),
    "dblreq": request("dblreq", method="REGISTER") + b"\r\n" + request("dblreq2"),
    "semiuri": request("semiuri", method="OPTIONS", uri="sip:user;par=u%40example.net@example.com"),
    "transports": request(
        "transports",
        method="OPTIONS",
        Via="SIP/2.0/UDP t1.example.com;branch=z9hG4bK1,SIP/2.0/SCTP t2.example.com,SIP/2.0/TLS t3.example.com,"
        "SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bK4",
    ),
    "mpart01": request(
        "mpart01",
        method="MESSAGE",
        Content_Type="multipart/mixed;boundary=7a9cbec02ceef655",
        body="--7a9cbec02ceef655\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nHello\r\n"
        "--7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\n\r\n\x01\x02\udc80\udcff\r\n"
        "--7a9cbec02ceef655--",
    ),
    "unreason": b"SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe\r\nVia: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\r\n"
    b"Call-ID: unreason.1234ksdfak3j2erwedfsASdf\r\nCSeq: 35 INVITE\r\nFrom: sip:user@example.com;tag=11141343\r\n"
    b"To: sip:user@example.edu;tag=2229\r\nContent-Length: 0\r\n\r\n",
    "noreason": b"SIP/2.0 100 \r\nVia: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe\r\n"
    b"Call-ID: noreason.asndj203insdf99223\r\n"
    b"CSeq: 35 INVITE\r\nFrom: <sip:user@example.com>;tag=39ansfi3\r\nTo: <sip:user@example.edu>;tag=902jndnke3\r\n"
    b"Content-Length: 0\r\n\r\n",
    # 3.1.2 invalid messages
    "badinv01": request(
        "badinv01",
        To='"Mr. J. User <sip:j.user@example.com>',
        From="sip:caller@example.net;tag=134161461246",
        Contact='"Joe" <sip:joe@example.org>;;;;',
        Via="SIP/2.0/UDP 192.0.2.15;;,;,,",
    ),
    "clerr": request("clerr", Content_Length="9999"),
    "ncl": request("ncl", Content_Length="-999"),
    "scalar02": request(
        "scalar02",
        method="REGISTER",
        CSeq="36893488147419103232 REGISTER",
        Max_Forwards="300",
        Expires="10000000000000",
    ),
    "scalarlg": b"SIP/2.0 503 Service Unavailable\r\nVia: SIP/2.0/TCP host129.example.com;branch=z9hG4bKzzxdiwo34sw\r\n"
    b"To: <sip:user@example.com>\r\nFrom: <sip:other@example.net>;tag=2easdjfejw\r\n"
    b"CSeq: 9292394834772304023312 OPTIONS\r\n"
    b"Call-ID: scalarlg.noase0of0234hn2qofoaf0232aewf2394r\r\nRetry-After: 949302838503028349304023988\r\n"
    b'Warning: 1812 overture "In Progress"\r\nContent-Length: 0\r\n\r\n',
    "quotbal": request("quotbal", To='"Mr. J. User <sip:j.user@example.com>'),
    "ltgtruri": request("ltgtruri", uri="<sip:user@example.com>"),
    "lwsruri": request("lwsruri", uri="sip:user@example.com; lr"),
    "lwsstart": request("lwsstart", line="INVITE  sip:user@example.com  SIP/2.0"),
    "trws": request("trws", line="OPTIONS sip:remote-target@example.com SIP/2.0  ", method="OPTIONS"),
    "escruri": request("escruri", uri="sip:user@example.com?Route=%3Csip:example.com%3E"),
    "baddate": request("baddate", Date="Fri, 01 Jan 2010 16:00:00 EST"),
    "regbadct": request("regbadct", method="REGISTER", Contact="sip:user@example.com?Route=%3Csip:sip.example.com%3E"),
    "badaspec": request(
        "badaspec",
        method="OPTIONS",
        uri="sip:user@example.org",
        From='"Bell, Alexander" <sip:a.g.bell@example.com>;tag=43',
        To='"Watson, Thomas" < sip:t.watson@example.org >',
    ),
    "baddn": request("baddn", method="OPTIONS", From="Bell, Alexander <sip:a.g.bell@example.com>;tag=43"),
    "badvers": request("badvers", method="OPTIONS", line="OPTIONS sip:t.watson@example.org SIP/7.0"),
    "mismatch01": request("mismatch01", method="OPTIONS", CSeq="8 INVITE"),
    "mismatch02": request("mismatch02", method="NEWMETHOD", CSeq="8 INVITE", body=SDP, Content_Type="application/sdp"),
    "bigcode": b"SIP/2.0 4294967301 better not break the receiver\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe\r\n"
    b"Call-ID: bigcode.asdof3uj203asdnf3429uasdhfas3ehjasdfas9i\r\nCSeq: 353494 INVITE\r\n"
    b"From: <sip:user@example.com>;tag=39ansfi3\r\nTo: <sip:user@example.edu>;tag=902jndnke3\r\n"
    b"Content-Length: 0\r\n\r\n",
    # 3.2 and 3.3 transaction and application layer
    "badbranch": request("badbranch", method="OPTIONS", Via="SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"),
    "insuf": request("insuf", Call_ID=None, From=None, To=None, Contact=None),
    "unkscm": request("unkscm", method="OPTIONS", uri="nobodyKnowsThisScheme:totallyopaquecontent"),
    "novelsc": request("novelsc", method="OPTIONS", uri="soap.beep://192.0.2.103:3002"),
    "unksm2": request("unksm2", method="REGISTER", To="isbn:2983792873", Contact="<name:John_Smith>"),
    "bext01": request(
        "bext01", Proxy_Require="nothingSupportsThis, nothingSupportsThisEither", Require="nothingSupportsThis"
    ),
    "invut": request(
        "invut", Content_Type="application/unknownformat", body='<audio>\n <pcmu port="443"/>\n</audio>\n'
    ),
    "regaut01": request("regaut01", method="REGISTER", Authorization="NoOneKnowsThisScheme opaque-data=here"),
    "multi01": request("multi01").replace(
        b"\r\nTo:", b"\r\nCSeq: 5 INVITE\r\nCall-ID: multi01.b@192.0.2.1\r\nFrom: sip:other@example.net;tag=x\r\nTo:"
    ),
    "mcl01": request(
        "mcl01", method="OPTIONS", body="There's no way to know how many octets are supposed to be here.\r\n"
    ).replace(b"\r\nContent-Length:", b"\r\nContent-Length: 13\r\nContent-Length: 5\r\nContent-Length:"),
    "bcast": b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\r\n"
    b"Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23\r\nCall-ID: bcast.0384840201234ksdfak3j2erwedfsASdf\r\n"
    b"CSeq: 35 INVITE\r\nFrom: sip:user@example.com;tag=11141343\r\nTo: sip:user@example.edu;tag=2229\r\n"
    b"Content-Length: 0\r\n\r\n",
    "zeromf": request("zeromf", method="OPTIONS", Max_Forwards="0"),
    "cparam01": request("cparam01", method="REGISTER", Contact="sip:user@example.com;unknownparam"),
    "cparam02": request("cparam02", method="REGISTER", Contact="<sip:user@example.com;unknownparam>"),
    "regescrt": request(
        "regescrt", method="REGISTER", Contact="<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"
    ),
    "sdp01": request("sdp01", Accept="text/nobodyKnowsThis"),
    # 3.4 backward compatibility
    "inv2543": request("inv2543", Via="SIP/2.0/UDP iftgw.example.com", Max_Forwards=None, From="<sip:+13035551111@x>"),
}
