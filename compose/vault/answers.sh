#!/bin/sh
# Does OpenBao of this container answer, unsealed or not yet initialised? For the health check: the bao program itself is
# too heavy to be started every few seconds.
set -eu
printf 'GET /v1/sys/health?uninitcode=200&standbyok=true HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' |
        openssl s_client -quiet -connect 127.0.0.1:8200 -servername localhost -CAfile /run/vault-ca/ca.pem -verify_return_error \
                2>/dev/null | head -n 1 | grep -q '^HTTP/1.1 200 '
