"""Seeded HTTP/1.1 requests made of parts, each of which may be odd: the grammar of RFC 9112 with the
spellings on which parsers are known to disagree. mutate.py --composed sends and judges them.
SPDX-License-Identifier: Apache-2.0
"""
CRLF = b"\r\n"

METHODS = [b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH"]
ODD_METHODS = [b"get", b"FOO", b"GET\0", b"G=T", b"PRI", b"CONNECT", b"TRACE", b"M-SEARCH", b"\xffGET",
               b"GET,POST", b"\"GET\"", b"PROPFIND", b"A" * 30]
SPACES = [b"  ", b"\t", b"\x0b", b"\x0c", b"\r", b"", b"\xa0", b" \t", b"\0"]
TARGETS = [b"/", b"/a/b?q=1", b"/x/%41", b"/a/./b/../c", b"/p;v=1"]
ODD_TARGETS = [
    b"/a/../b", b"/../../x", b"/%2e%2e/x", b"/a%00b", b"/a%zz", b"/a%", b"/a%2", b"//a//b", b"/a;x/../b",
    b"/%5c..%5cx", b"/a\\..\\b", b"/%c0%ae%c0%ae/x", b"/a/%2e%2e%2fb", b"/a%2Fb", b"/%2f%2fb/c",
    b"http://a/p", b"http://b/p", b"HTTP://A:80/p", b"http://a:0/p", b"http://u@a/p", b"http://a", b"http://a?q",
    b"http://a:99999/p", b"http://[::1]/p", b"http://a\\@b/p", b"http://a#b/p", b"http:/a", b"http:///p",
    b"//b/p", b"/\\b", b"/a#f", b"/a?b#c", b"/\xc3\xa9", b"https://a/x", b"ftp://a/x", b"*", b"a", b"?q",
    b"/a?\"b\"", b"/a?<x>", b"/a?b\\c", b"/a?%0d%0aX:%20y", b"/%0d%0aX:y", b"/a\tb", b"/a|b", b"/a^b`{}",
    b"/a//../b", b"/./", b"/..", b"/a/..;/b", b"/%252e%252e/x", b"/a?x=../../y", b"/a/.%2e/b", b"http://a//b",
    b"/" + b"a" * 900, b"http://a:/p", b"http://a%2eb/p", b"http://A./p", b"/\x7f", b"/\x80", b"/a%20b", b""]
VERSIONS = [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/01.1", b"HTTP/1.10", b"http/1.1", b"HTTP/1.1 ",
            b"HTTP/1.1\x0b", b"HTTP/.1", b"HTTP/1", b"HTTP/1.1\t", b"HTTP/1,1", b"HTTQ/1.1", b"", b"HTTP/1.1 x",
            b"HTTP/0.9", b"HTTP/1.1\0", b"HTTP/1.\xb1"]
ENDS = [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r", b"\0\r\n", b" \r\n", b"\x0b\r\n", b"\r\0\n", b"\xff\r\n"]
HOSTS = [
    b"Host:a", b"Host:  a ", b"Host : a", b"host:\ta", b"Host: a, b", b"Host: a:80", b"Host: a:080", b"Host: u@a",
    b"Host: a/", b"Host:", b"Host: [::1]", b"Host: [::1", b"Host: a\0", b"Host: a:", b"Host: a.", b"HOST: A",
    b"Host: a#b", b"Host: a?b", b"Host: a\\b", b"Host: a\r\nHost: a", b"Host: a\r\nHost: b", b"X: y",
    b"Host\0: a", b"\tHost: b", b"Host: a\r\n b", b"Host: %61", b"Host: a b", b"Host: a;b", b"Host: 1.2.3.4:80",
    b"Host: xn--nxasmq6b", b"Host: a:+80", b"Host: a:99999", b"Host: a:8 0", b"Host: \xc3\xa9", b"Host: *.a",
    b"Host: a_b", b"H\xc3\xb6st: a", b"Host\t: a", b"Host: 'a'", b"Host: http://a"]
LENGTHS = [b"05", b"+5", b"-0", b"-5", b" 5 ", b"5,5", b"5, 5", b"5,6", b"0x5", b"5;", b"\t5", b"", b"5.0",
           b"18446744073709551621", b"99999999999999999999", b"5\r\nContent-Length: 5", b"4294967301", b"5 5",
           b"5\r\nContent-Length: 6", b"5\r\n 0", b"5\x0b", b"5\0", b"0005", b"5e0", b"\xb5", b"'5'", b"5,", b",5",
           b"9223372036854775813", b"5\r\nContent_Length: 9", b"5\r\ncontent-length: 05", b"1_0"]
CODINGS = [b"Chunked", b"CHUNKED", b"chunked,", b",chunked", b"chunked, chunked", b"identity", b"gzip, chunked",
           b"chunked, gzip", b'"chunked"', b"chunked;q=1", b"chunked\x0b", b"x\r\n chunked", b"xchunked", b" chunked ",
           b"\tchunked", b"chunked\r\nTransfer-Encoding: chunked", b"chunked\r\nTransfer-Encoding: identity",
           b"identity, chunked", b"chunke", b"chunked\0", b"", b"gzip", b"identity\r\nTransfer-Encoding: chunked",
           b"chunked\xff", b"\xe2\x84\xaachunked", b"c\rhunked", b"chunked\r\n ", b"deflate, gzip, chunked",
           b"chunked identity", b"\x0bchunked", b"chunKed", b"chun\xe2\x84\xaaed", b"chunked; x=\"y\""]
NAMES = [b"%s :", b"%s\t:", b" %s:", b"\t%s:", b"%s\0:", b"%s\x0b:", b"X\r%s:", b"X\n%s:", b"%s", b"%s;", b"%s::",
         b"(%s):", b"%s\xad:", b"\xff%s:", b"X: y\r\n\r%s:", b"X: y\n%s:", b"%s\r:", b":%s:", b"%s\x7f:", b"%s \t :"]
OTHERS = [
    b"Connection: close", b"Connection: content-length", b"Connection: transfer-encoding", b"Connection: host",
    b"Connection: keep-alive, close", b"Connection:", b"Connection: , ,", b"Connection: \"close\"",
    b"Connection: x-forwarded-for, x-request-id", b"Connection: te, upgrade\r\nTE: trailers, gzip\r\nUpgrade: h2c",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    b"Expect: 100-continue", b"Expect: 100-Continue, x", b"Expect: x", b"Expect:", b"Upgrade: websocket",
    b"TE: chunked", b"TE:", b"Trailer: Content-Length", b"Trailer: x", b"X: a\r\n b", b"X: a\r\n\tb", b"X: a\r\n ",
    b"nocolon", b":authority: b", b": x", b"X\0: y", b"X: a\rb", b"X: a\nContent-Length: 5", b"X: a\0b", b"X:",
    b"X: \x80\xff", b"X(): y", b"X y: z", b"X_Y: z", b"X: " + b"p" * 9000, b"\"X\": y", b"Proxy-Connection: close",
    b"Keep-Alive: timeout=1", b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded_For: 1",
    b"Max-Forwards: 0", b"X-HTTP-Method-Override: DELETE", b"X: a\r\n:path: /b", b"Cookie: a\r\nCookie: b",
    b"Content-Encoding: chunked", b"Range: bytes=0-", b"X: a\x0b", b"X:\x0ba", b" X: y", b"\tX: y", b"\0"]
SIZES = [b"05", b"0005", b"5;x", b"5;x=y", b"5 ;x", b"5; x", b'5;x="a;b"', b'5;x="\r\n"', b"0x5", b"+5", b"-5", b" 5",
         b"5 ", b"5\t", b"5\x0b", b"FFFFFFFFFFFFFFFF5", b"10000000000000005", b"5;\0", b"5;\x80", b"5;a\n", b"5\r",
         b"5;\r", b"5g", b"", b"5,", b"5;;", b"5;" + b"x" * 200, b"5;\x0b", b"0000000000000000000000005", b"\xb55",
         b"5;x=\"", b"5_0", b"5 5", b"5.", b"5;a\rb", b"5h"]
TRAILERS = [b"X: y\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"X : y\r\n",
            b" X: y\r\n", b"X: y\r\n z\r\n", b"nocolon\r\n", b"X: y\n", b"X: y\r", b":path: /x\r\n", b"X\0: y\r\n",
            b"Connection: close\r\n", b"Authorization: x\r\n", b"X: a\0b\r\n", b"\r", b"X:\r\n", b"X_Y: z\r\n"]
TAILS = [b"", b"\n", b"\r", b"\r\n\r\n", b"\r\r\n", b"0\r\n\r\n", b" \r\n", b"\n\n", b"G"]


class Odd:
    """Takes the usual one, or, a few times in a message, an odd one."""

    def __init__(self, rng):
        self.rng, self.left = rng, rng.choice((1, 1, 1, 1, 2, 2, 3))
        self.chance = rng.choice((0.1, 0.3, 0.6))

    def __call__(self, usual, odd):
        if self.left > 0 and self.rng.random() < self.chance:
            self.left -= 1
            return self.rng.choice(odd)
        return usual


def chunks(rng, odd):
    """A chunked body: sizes, ends, trailers."""
    parts = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice((b"hello", b"0\r\n\r\n", b"GET /"[:5]))
        data = data[:5]
        parts.append(odd(b"%x" % len(data), SIZES) + odd(CRLF, ENDS) + data + odd(CRLF, [*ENDS, b""]))
    last = odd(b"0", [b"00", b"0;x", b"0 ", b"0000000000", b"-0", b"0x0", b"+0", b"", b"0;\n", b"0\t"])
    parts.append(last + odd(CRLF, ENDS) + odd(b"", TRAILERS) + odd(CRLF, TAILS))
    return b"".join(parts)


def field(odd, name, value):
    """A field line without its end; its name perhaps in a spelling that is none."""
    form = odd(b"%s:", NAMES)
    return form % name + b" " + value


def framing(rng, odd):
    """(field lines, body)."""
    kind = rng.choice(("none", "none", "length", "length", "chunked", "chunked", "both", "tail"))
    if kind == "none":
        return [], b""
    if kind == "length":
        return [field(odd, b"Content-Length", odd(b"5", LENGTHS))], odd(b"hello", [b"", b"hel", b"hello!", b"0\r\n\r\n"])
    if kind == "tail":  # a body that nobody announced
        return [], rng.choice((b"hello", b"0\r\n\r\n", b"\r\n", b"\n", b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"))
    lines = [field(odd, b"Transfer-Encoding", odd(b"chunked", CODINGS))]
    if kind == "both":
        lines.insert(rng.randrange(2), field(odd, b"Content-Length", odd(b"5", LENGTHS)))
    return lines, chunks(rng, odd)


def compose(rng):
    """One request."""
    odd = Odd(rng)
    target = odd(rng.choice(TARGETS), ODD_TARGETS)
    line = (odd(rng.choice(METHODS), ODD_METHODS) + odd(b" ", SPACES) + target + odd(b" ", SPACES) +
            odd(b"HTTP/1.1", VERSIONS))
    lines, body = framing(rng, odd)
    lines.insert(rng.randrange(len(lines) + 1), odd(b"Host: a", HOSTS))
    for _ in range(rng.choice((0, 0, 1, 2))):
        lines.insert(rng.randrange(len(lines) + 1), odd(b"X: y", OTHERS))
    if rng.random() < 0.1:  # something of it lies across the end of a block
        at = rng.choice((4096, 8192, 16384)) - rng.randrange(120)
        lines.insert(0, b"Pad: " + b"p" * at)
    head = b"".join(each + odd(CRLF, ENDS) for each in [line, *lines])
    return odd(b"", [b"\r\n", b"\n", b"\r\n\r\n", b"\r", b" ", b"\0", b"\t"]) + head + odd(CRLF, ENDS) + body
