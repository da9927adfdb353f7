/* agent/vault_api.h: Vault's HTTP API as structs: builds requests, reads replies. Pure: no I/O, no clock. */
#ifndef AGENT_VAULT_API_H
#define AGENT_VAULT_API_H

#include <stdbool.h>
#include <stdint.h>

#include "common/json.h"

struct config_certificate;
struct http_client_reply;
struct secret;

enum vault_op {
        VAULT_LOGIN,        /* POST auth/MOUNT/login */
        VAULT_WRAP_LOOKUP,  /* POST sys/wrapping/lookup */
        VAULT_UNWRAP,       /* POST sys/wrapping/unwrap */
        VAULT_TOKEN_LOOKUP, /* GET auth/token/lookup-self */
        VAULT_TOKEN_RENEW,  /* POST auth/token/renew-self */
        VAULT_TOKEN_REVOKE, /* POST auth/token/revoke-self */
        VAULT_READ,         /* GET PATH: database/creds, static-creds, KV */
        VAULT_ISSUE,        /* POST pki/issue/ROLE, pki/sign/ROLE */
        VAULT_LEASE_RENEW,  /* POST sys/leases/renew, never with increment (rule 1) */
        VAULT_LEASE_LOOKUP, /* POST sys/leases/lookup */
        VAULT_LEASE_REVOKE, /* POST sys/leases/revoke, sync */
        VAULT_HEALTH,       /* GET sys/health */
        VAULT_OPS
};

const char *vault_op_text(enum vault_op op); /* "login", "lease_renew" ...: the metric's label */

struct vault_request {
        enum vault_op op;
        const char *method; /* static */
        char *path;         /* "/v1/..." */
        struct secret *body; /* NULL: none */
        bool once; /* sent twice it would make two, or use up what is good for one use: LOGIN, UNWRAP, ISSUE; a READ that mints, by the renewer */
};

/* Each fills *ret; vault_request_done() it. Paths are percent-encoded but for "/". */
void vault_request_approle_login(struct vault_request *ret, const char *mount_path, const struct secret *role_id, const struct secret *secret_id);
void vault_request_wrap_lookup(struct vault_request *ret, const struct secret *wrapping_token); /* token in the body: unauthenticated */
void vault_request_simple(struct vault_request *ret, enum vault_op op); /* UNWRAP, TOKEN_LOOKUP, TOKEN_RENEW, TOKEN_REVOKE, HEALTH */
void vault_request_read(struct vault_request *ret, const char *path);
void vault_request_lease(struct vault_request *ret, enum vault_op op, const char *lease_id);
/* csr: PEM for .../sign/, NULL for .../issue/. The SANs stand in both the CSR and the request. */
void vault_request_certificate(struct vault_request *ret, const char *path, const struct config_certificate *c, const char *csr);
void vault_request_done(struct vault_request *r);

enum vault_outcome {
        VAULT_OK,          /* 200, 202, 204 and what this operation needs is there and sane */
        VAULT_UNREACHABLE, /* no answer: transport, TLS, timeout. (An answer over 1 MiB is VAULT_MALFORMED, a request that cannot be
                              sent as it stands VAULT_REFUSED: they concern one path, not Vault.) */
        VAULT_UNAVAILABLE, /* 412, 472, 473, 5xx but 501: try again */
        VAULT_SEALED,      /* 503 with "sealed"; 503 of sys/health; 501 */
        VAULT_THROTTLED,   /* 429 (of anything but sys/health, where it is a standby: VAULT_OK; so is 473 there) */
        VAULT_FORBIDDEN,   /* 403 */
        VAULT_NOT_FOUND,   /* 404 */
        VAULT_REFUSED,     /* 400, 405, 413, other 4xx, 3xx */
        VAULT_MALFORMED,   /* 2xx that this operation cannot use: not JSON, a field missing or of a wrong type */
};

const char *vault_outcome_text(enum vault_outcome outcome);

/* What the text of a 400 says about a lease (rule 4): decides whether the look-up is asked. */
enum vault_lease_word {
        VAULT_LEASE_UNKNOWN,  /* says nothing that we know */
        VAULT_LEASE_DOUBTFUL, /* lease not found, lease expired, lease is expired, past the max TTL, not renewable */
        VAULT_LEASE_INVALID,  /* look-up: invalid lease */
};

struct vault_auth {
        struct secret *token;
        char *accessor;
        uint64_t ttl_usec; /* 0: does not end (root) */
        bool renewable, is_batch;
        uint64_t num_uses; /* 0: without limit */
};

struct vault_token_info { /* lookup-self */
        uint64_t ttl_usec, creation_ttl_usec, explicit_max_ttl_usec, period_usec; /* 0: none */
        uint64_t num_uses;
        bool renewable, is_batch, is_root;
};

struct vault_reply {
        enum vault_outcome outcome;
        long status;                /* 0: none came */
        int transport_error;        /* -errno, 0 */
        char *error;                /* new, one line for people, at most 300 bytes, "" only with VAULT_OK: Vault's first errors entry, or what was malformed; never a value out of data */
        enum vault_lease_word lease_word;
        uint64_t retry_after_usec;  /* 0: none */
        uint64_t date_usec;         /* realtime at the server; 0: unknown */
        uint64_t asked_usec;        /* CLOCK_BOOTTIME when it was sent, after its wait in the queue; vault_link fills it in. 0: it never was */
        char *lease_id;             /* READ, ISSUE, LEASE_RENEW: "" without a lease */
        uint64_t lease_usec;        /* READ, ISSUE, LEASE_RENEW: lease_duration; LEASE_LOOKUP: ttl (0: dead) */
        bool renewable;
        char *mount_type;           /* "" where the server does not say */
        bool is_kv2;                /* READ: data was unwrapped */
        json_t *data;               /* READ, ISSUE, UNWRAP: the content, an object; NULL otherwise. For kv2 the inner data */
        json_t *envelope_data;      /* READ of kv2: data as it came (with metadata); NULL otherwise */
        struct vault_auth auth;     /* LOGIN, TOKEN_RENEW (the token only after LOGIN) */
        struct vault_token_info token; /* TOKEN_LOOKUP */
        char *creation_path;        /* WRAP_LOOKUP */
};

/*
 * Reads one reply for one operation. Durations past 10 years, negative ones and ones of a wrong type are VAULT_MALFORMED; so is
 * READ with a lease_id and no lease_duration, a KV v2 answer without data (deleted: VAULT_NOT_FOUND), ISSUE without certificate.
 */
void vault_reply_read(enum vault_op op, const struct http_client_reply *http, struct vault_reply *ret);
void vault_reply_done(struct vault_reply *r);

#endif
