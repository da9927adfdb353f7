#!/bin/sh
# Makes data and certificate at the first start, then becomes MariaDB. Nobody has a password but whom Vault makes: the
# administrators come by the socket, and the kernel says who they are.
set -eu
umask 077

/usr/bin/db-certificate
if [ ! -d /var/lib/db/data ]; then
        rm -rf /var/lib/db/data.new
        mariadb-install-db --no-defaults --datadir=/var/lib/db/data.new --auth-root-authentication-method=socket \
                --skip-test-db --skip-name-resolve >/dev/null
        mv /var/lib/db/data.new /var/lib/db/data
fi
# Carried out before it listens, at each start: what was changed by hand is put right.
cat >/tmp/init.sql <<'END'
DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
CREATE OR REPLACE USER root@localhost IDENTIFIED VIA unix_socket;
GRANT ALL ON *.* TO root@localhost WITH GRANT OPTION;
CREATE OR REPLACE USER mysql@localhost IDENTIFIED VIA unix_socket;
GRANT ALL ON *.* TO mysql@localhost WITH GRANT OPTION;
CREATE OR REPLACE USER provisioner@localhost IDENTIFIED VIA unix_socket;
GRANT ALL ON *.* TO provisioner@localhost WITH GRANT OPTION;
FLUSH PRIVILEGES;
END
exec mariadbd --no-defaults --datadir=/var/lib/db/data --socket=/run/db/db.sock --pid-file=/run/db/db.pid --tmpdir=/tmp \
        --init-file=/tmp/init.sql --bind-address=0.0.0.0 --port=3306 --skip-name-resolve --character-set-server=utf8mb4 \
        --ssl-cert=/var/lib/db/tls/server.pem --ssl-key=/var/lib/db/tls/server.key --tls-version=TLSv1.2,TLSv1.3 \
        --require-secure-transport=ON --general-log-file=/tmp/general.log --innodb-buffer-pool-size=64M
