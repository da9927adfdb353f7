#!/bin/bash
# Is notesd of this container ready? For the health check: bash can speak TCP, and the image has no HTTP client.
exec 3<>/dev/tcp/127.0.0.1/5000 || exit 1
printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 3 _ code _ <&3
[ "$code" = 200 ]
