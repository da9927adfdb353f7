#!/bin/sh
# Makes, at the first start, the seal's key and a certificate with an authority of its own; then becomes OpenBao.
set -eu
umask 077

tls=/var/lib/openbao/tls
if [ ! -s /var/lib/openbao-seal/key ]; then
        if [ -e /var/lib/openbao/raft/vault.db ]; then
                echo "vault: /var/lib/openbao-seal/key is gone, and the data cannot be read without it; bring the volume back, or begin anew: make down VOLUMES=1" >&2
                exit 1
        fi
        openssl rand -out /var/lib/openbao-seal/key.new 32
        mv /var/lib/openbao-seal/key.new /var/lib/openbao-seal/key
fi
if [ ! -s $tls/server.pem ]; then
        rm -rf $tls.new
        mkdir $tls.new
        cd $tls.new
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Leasekeeper stack, Vault CA" \
                -keyout ca.key -out ca.pem -addext basicConstraints=critical,CA:TRUE \
                -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -CA ca.pem -CAkey ca.key -subj /CN=vault \
                -keyout server.key -out server.pem -addext subjectAltName=DNS:vault,DNS:localhost,IP:127.0.0.1 \
                -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth 2>/dev/null
        # One certificate, signed once: nobody needs the authority's key again.
        rm ca.key
        cd /
        mv $tls.new $tls
fi
mkdir -p /var/lib/openbao/raft
install -m 0644 $tls/ca.pem /run/vault-ca/ca.pem.new
mv /run/vault-ca/ca.pem.new /run/vault-ca/ca.pem

exec /usr/bin/bao server -config=/etc/openbao/server.hcl
