/* app/listeners.h: the addresses that are listened on, and when the first handshakes begin. */
#ifndef APP_LISTENERS_H
#define APP_LISTENERS_H

struct app_config;
struct http_server;
struct listeners;
struct loop;
struct tls;

struct listeners *listeners_new(struct loop *loop, struct http_server *server, struct tls *tls);
struct listeners *listeners_free(struct listeners *l);
int listeners_open(struct listeners *l, const struct app_config *config);
void listeners_look(struct listeners *l); /* the certificate may have come */

#endif
