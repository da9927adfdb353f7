/* agent/keypair_internal.h: what keypair*.c and certificate.c share. */
#ifndef AGENT_KEYPAIR_INTERNAL_H
#define AGENT_KEYPAIR_INTERNAL_H

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */
struct secret;

struct keypair {
        struct evp_pkey_st *pkey;
        struct secret *pem;
};

char *keypair_error(const char *what); /* new: "WHAT: OpenSSL's reason" */

#endif
