/* agent/keypair.h: private keys that are made here and never leave, and the certificate requests for them. */
#ifndef AGENT_KEYPAIR_H
#define AGENT_KEYPAIR_H

#include "agent/certificate.h"
#include "agent/config.h"

struct keypair;
struct secret;

int keypair_new(enum key_type type, struct keypair **ret_k); /* -EIO: OpenSSL cannot. RSA takes its time: 4096 bits up to seconds */
struct keypair *keypair_free(struct keypair *k);             /* wipes; takes NULL; returns NULL */
const struct secret *keypair_private_pem(const struct keypair *k); /* borrowed: PKCS#8 PEM, not encrypted */

/* PKCS#10 PEM, SHA-256: the common name as subject; SANs as configured, and the common name where it is a DNS name.
 * -EINVAL: ret_error (new) names the key of the configuration and what is wrong with it. */
int keypair_csr(const struct keypair *k, const struct config_certificate *c, char **ret_csr, char **ret_error);

#endif
