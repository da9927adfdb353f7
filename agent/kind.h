/* agent/kind.h: the three kinds of secret. */
#ifndef AGENT_KIND_H
#define AGENT_KIND_H

enum secret_kind {
        KIND_STATIC,      /* read again on a timer */
        KIND_DYNAMIC,     /* leased: the answer had a lease_id */
        KIND_CERTIFICATE, /* PKI */
};

const char *secret_kind_text(enum secret_kind kind); /* "static", "dynamic", "certificate" */

#endif
