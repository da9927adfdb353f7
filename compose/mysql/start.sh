#!/bin/sh
# Makes data and certificate at the first start, then becomes MySQL. Nobody has a password but whom Vault makes: the
# administrators come by the socket, and the kernel says who they are.
set -eu
umask 077

/usr/bin/db-certificate
if [ ! -d /var/lib/db/data ]; then
        rm -rf /var/lib/db/data.new
        mysqld --no-defaults --initialize-insecure --datadir=/var/lib/db/data.new
        mv /var/lib/db/data.new /var/lib/db/data
fi
# Carried out before it listens, at each start: what was changed by hand is put right.
cat >/tmp/init.sql <<'END'
CREATE USER IF NOT EXISTS root@localhost IDENTIFIED WITH auth_socket;
ALTER USER root@localhost IDENTIFIED WITH auth_socket;
CREATE USER IF NOT EXISTS mysql@localhost IDENTIFIED WITH auth_socket;
GRANT ALL ON *.* TO mysql@localhost WITH GRANT OPTION;
CREATE USER IF NOT EXISTS provisioner@localhost IDENTIFIED WITH auth_socket;
GRANT ALL ON *.* TO provisioner@localhost WITH GRANT OPTION;
END
exec mysqld --no-defaults --datadir=/var/lib/db/data --socket=/run/db/db.sock --pid-file=/run/db/db.pid --tmpdir=/tmp \
        --plugin-load-add=auth_socket.so --init-file=/tmp/init.sql --bind-address=0.0.0.0 --port=3306 --mysqlx=OFF \
        --skip-name-resolve --character-set-server=utf8mb4 --ssl-ca=/var/lib/db/tls/ca.pem \
        --ssl-cert=/var/lib/db/tls/server.pem --ssl-key=/var/lib/db/tls/server.key --require-secure-transport=ON \
        --general-log-file=/tmp/general.log --innodb-buffer-pool-size=64M --innodb-numa-interleave=OFF
