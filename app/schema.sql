-- app/schema.sql: the one table of notesd, in the current database. MariaDB 10.2 or MySQL 8.0.13 and later.
-- The service itself needs SELECT and INSERT on it, nothing else:
--     GRANT SELECT, INSERT ON notes TO ...;
CREATE TABLE IF NOT EXISTS notes (
    id              BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    -- 1 to 4096 characters, compared and kept byte by byte (no trimming, no folding of case or accents)
    text            VARCHAR(4096) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    -- UTC whatever the session's time zone says
    created_at      DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
    -- a client's Idempotency-Key (printable ASCII), or 17 bytes that begin with 0x01 and were made up by notesd
    idempotency_key VARBINARY(64) NULL,
    PRIMARY KEY (id),
    UNIQUE KEY notes_idempotency_key (idempotency_key)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
