/* app/http_front.h: the HTTP server of notesd: which route gets a request, and what the server's own refusals say. */
#ifndef APP_HTTP_FRONT_H
#define APP_HTTP_FRONT_H

struct front;
struct http_server;
struct services;

struct front *front_new(const struct services *services, unsigned conns_max); /* services: copied, its members borrowed */
struct front *front_free(struct front *f);
struct http_server *front_server(struct front *f); /* borrowed: to add listeners to, and to drain */

#endif
