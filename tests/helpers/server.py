"""A server on loopback, with faults that a test can choose."""

import http.server
import io
import time
import zipfile

from PIL import Image

PARTS = {"trainA": 3, "trainB": 2, "testA": 1, "testB": 1}


def image(level):
    file = io.BytesIO()
    Image.new("RGB", (20, 20), (level, 0, 0)).save(file, "PNG")
    return file.getvalue()


def archive(extra=()):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as content:
        for part, count in PARTS.items():
            for i in range(count):
                content.writestr(f"x2y/{part}/{i}.png", image(i))
        for name, data in extra:
            content.writestr(name, data)
    return file.getvalue()


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` with ranges; what it does wrong, a test can choose."""

    def __init__(self, content, ranges=True, most=None, announce=True, pause=0):
        self.pause = pause
        self.content, self.ranges, self.most = content, ranges, most
        self.announce = announce
        self.asked = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def site(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        begin = self.headers.get("Range")
        self.server.asked.append((self.path, begin))
        content, status = self.server.content, 200
        if content is None:
            self.send_error(404)
            return
        if begin and self.server.ranges:
            begin = int(begin.removeprefix("bytes=").rstrip("-"))
            content, status = content[begin:], 206
        self.send_response(status)
        if status == 206:
            whole = len(self.server.content)
            self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
        if self.server.announce:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.server.pause:
            for place in range(len(content)):
                self.wfile.write(content[place : place + 1])
                time.sleep(self.server.pause)
        self.wfile.write(content[: self.server.most])  # and hangs up

    def log_message(self, *args):
        pass
