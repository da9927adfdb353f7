"""What no service on this machine can pass: the same bytes without a database, the database without HTTP."""

import json
import os
import shutil
import subprocess

from measure import HERE, TEXT
from peers import Missing, run
from servers import Process, free_port, write_private


class Tools:
    """Our own small programs in C, and nginx unpacked beside them: installing the package would start a service."""

    def __init__(self, folder):
        self.folder = folder
        self.load, self.static, self.rawdb = (os.path.join(folder, name) for name in ("load", "static", "rawdb"))

    def build(self):
        os.makedirs(self.folder, exist_ok=True)
        for name, package in (("load", "openssl"), ("static", "libevent"), ("rawdb", "mysqlclient")):
            flags = run("pkg-config", "--cflags", "--libs", package).split()
            run(os.environ.get("CC", "cc"), "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-o",
                os.path.join(self.folder, name), os.path.join(HERE, name + ".c"), *flags, "-pthread")

    def nginx(self):
        """Return: the program's path."""
        found = shutil.which("nginx") or next((p for p in ("/usr/sbin/nginx",) if os.access(p, os.X_OK)), None)
        if found:
            return found
        place = os.path.join(self.folder, "nginx")
        program = os.path.join(place, "usr/sbin/nginx")
        if not os.access(program, os.X_OK):
            os.makedirs(place, exist_ok=True)
            run("apt-get", "download", "-qq", "nginx", cwd=place)
            package = next(f for f in os.listdir(place) if f.endswith(".deb"))
            run("dpkg-deb", "-x", package, ".", cwd=place)
        return program


class Nginx:
    """`return 200` of the same bytes, plain and with TLS, one worker."""

    name, label = "nginx", "nginx `return 200`, same bytes"

    def __init__(self, tools, folder, body, tls):
        self.program = tools.nginx()
        self.port, self.tls_port = free_port(), free_port()
        self.folder = folder
        quoted = body.rstrip("\n").replace("\\", "\\\\").replace("'", "\\'").replace("$", "")
        self.config = os.path.join(folder, "nginx.conf")
        user = "user root;\n" if os.geteuid() == 0 else ""
        write_private(self.config, f"""{user}worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-1; proxy_temp_path {folder}/nginx-2; fastcgi_temp_path {folder}/nginx-3;
  uwsgi_temp_path {folder}/nginx-4; scgi_temp_path {folder}/nginx-5;
  keepalive_requests 1000000000;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache off;
  default_type application/json;
  server {{
    listen 127.0.0.1:{self.port} reuseport;
    listen 127.0.0.1:{self.tls_port} ssl;
    ssl_certificate {tls[0]};
    ssl_certificate_key {tls[1]};
    location / {{ return 200 '{quoted}'; }}
    location /none {{ return 404 'none'; }}
  }}
}}
""")

    def version(self):
        done = subprocess.run([self.program, "-v"], capture_output=True, text=True, check=False)
        return (done.stderr or done.stdout).strip().rpartition("/")[2]

    def start(self):
        command = [self.program, "-p", self.folder, "-c", self.config, "-e", f"{self.folder}/nginx-error.log"]
        return Process(self.name, command, os.path.join(self.folder, "nginx.log"), {"PATH": "/usr/bin:/bin"})


class Static:
    """evhttp with the same bytes."""

    name, label = "evhttp", "static evhttp, same bytes"

    def __init__(self, tools, folder, body):
        self.program, self.folder, self.port = tools.static, folder, free_port()
        self.body = os.path.join(folder, "body.json")
        write_private(self.body, body)

    def start(self):
        return Process(self.name, [self.program, str(self.port), self.body], os.path.join(self.folder, "static.log"),
                       {"PATH": "/usr/bin:/bin"})


def raw(tools, database, what, threads, seconds):
    """Return: {"requests", "per_second"} of the database's own client in a loop."""
    done = subprocess.run([tools.rawdb, what, str(threads), str(seconds), TEXT], capture_output=True, text=True,
                          env={**os.environ, **database}, check=False)
    if done.returncode:
        raise Missing(f"rawdb: {done.stderr.strip()}")
    return json.loads(done.stdout)
