/* agent/certificate.h: what a certificate says, and whether it, its key and its chain belong together. Pure. */
#ifndef AGENT_CERTIFICATE_H
#define AGENT_CERTIFICATE_H

#include <stdint.h>

#include "common/json.h"

struct secret;

struct certificate_facts {
        uint64_t not_before_usec, not_after_usec; /* wall clock */
        char serial[128];                         /* "1a:2b:...", as Vault writes it */
};

/* Each: 0, or -EBADMSG and ret_error (new): what is wrong, for people. */
int certificate_read(const char *pem, struct certificate_facts *ret_facts, char **ret_error);

/*
 * Rule 12: the key fits the certificate; "issuing_ca" (text) and "ca_chain" (array of texts) of `data`, where they are there and not
 * empty, are certificates, and one of them issued the leaf. Whether it is valid now is the caller's to judge: clocks differ.
 */
int certificate_check(const char *pem, const struct secret *key_pem, const json_t *data, struct certificate_facts *ret_facts, char **ret_error);

#endif
