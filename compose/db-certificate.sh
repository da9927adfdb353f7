#!/bin/sh
# Makes the database's certificate at the first start, with an authority of its own, in /var/lib/db/tls; shows the authority
# beside the socket.
set -eu
umask 077

tls=/var/lib/db/tls
if [ ! -s $tls/server.pem ]; then
        rm -rf $tls.new
        mkdir $tls.new
        cd $tls.new
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
                -subj "/CN=Leasekeeper stack, database CA" -keyout ca.key -out ca.pem \
                -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -CA ca.pem -CAkey ca.key -subj /CN=db \
                -keyout server.key -out server.pem -addext subjectAltName=DNS:db,DNS:localhost \
                -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth 2>/dev/null
        # One certificate, signed once: nobody needs the authority's key again.
        rm ca.key
        cd /
        mv $tls.new $tls
fi
install -m 0644 $tls/ca.pem /run/db/ca.pem.new
mv /run/db/ca.pem.new /run/db/ca.pem
