/* app/tls.h: the certificate of the https listeners: a fresh context a version, swapped as a whole. */
#ifndef APP_TLS_H
#define APP_TLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/json.h"

struct bufferevent;
struct event_base;
struct tls;

void tls_setup(void);         /* wiping allocators for OpenSSL; once, before anything else of OpenSSL */
struct tls *tls_new(void);    /* new, without a certificate */
struct tls *tls_free(struct tls *t);
int tls_swap(struct tls *t, const json_t *data, char **ret_error);
bool tls_has_certificate(const struct tls *t);
/* From now on clients must show a certificate; until their CA is there no handshake is begun. */
void tls_require_clients(struct tls *t);
int tls_swap_client_ca(struct tls *t, const json_t *data, char **ret_error);
const char *tls_serial(const struct tls *t); /* of the certificate in use, "0a:1b:..."; "". Borrowed until the next swap */
/* Each swap makes what was accepted before it old: such a connection is to end with its next answer, some time after. */
uint64_t tls_generation(const struct tls *t);
bool tls_is_over(const struct tls *t, uint64_t generation, unsigned salt); /* salt: spreads the ends of many */
uint64_t tls_not_after_usec(const struct tls *t); /* wall clock; 0: no certificate */
struct bufferevent *tls_wrap(struct event_base *base, int fd, void *tls); /* an http_wrap_fn; arg is the struct tls */
ssize_t tls_send(struct bufferevent *bev, const void *bytes, size_t len); /* for http_server_set_tls_send() */
void tls_bye(struct bufferevent *bev, void *arg);  /* says close_notify; for http_server_set_tls_bye() */

#endif
