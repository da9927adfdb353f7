/* tests/unit/support_http.h: a real HTTP server on loopback in this process, and raw clients that send bytes of any kind. */
#ifndef TESTS_UNIT_SUPPORT_HTTP_H
#define TESTS_UNIT_SUPPORT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/http_server.h"

#define HTTP_SCENE_CLIENTS 16
#define HTTP_SCENE_BIG     ((size_t)16 << 20) /* what /big answers: more than any kernel buffer takes at once */

enum http_transport { OVER_TCP, OVER_UNIX, OVER_BUFFEREVENT /* the way of TLS, without its bytes */ };

struct http_client_raw {
        int fd;              /* -1: not there */
        struct buf received; /* what was read and not taken */
        bool closed, reset;
        bool paused; /* does not read */
};

struct http_scene {
        enum http_transport transport;
        struct loop *loop;
        struct loop_timer *tick;
        struct http_limits limits;
        struct http_server *server;
        struct http_client_raw clients[HTTP_SCENE_CLIENTS];
        unsigned short port;
        char socket_path[64];

        struct http_request *held; /* of /later and /stream: answered by the test */
        unsigned requests, accepted, closed, gone, drained, byes;
        int accept_status; /* what on_accept says */
        bool close_on_accept;
        char last_method[32], last_path[64];
        bool peer_is_us, is_tls, has_length;
};

/* Limits that no test meets by chance; a test may change them between set-up and http_scene_start(). */
int http_scene_set_up(void **state); /* over TCP */
int http_scene_tear_down(void **state);
void http_scene_start(struct http_scene *s, enum http_transport transport);
void http_scene_turn(struct http_scene *s); /* the loop for a millisecond, then all clients read */

struct http_client_raw *http_scene_client(struct http_scene *s); /* connects one more */
void raw_send(struct http_client_raw *c, const char *text);
void raw_send_bytes(struct http_client_raw *c, const void *bytes, size_t len);
void raw_close(struct http_client_raw *c);
bool raw_has(const struct http_client_raw *c, const char *text);
void raw_forget(struct http_client_raw *c); /* what it has received so far */

/* Turns until cond holds; fails the test after 20 s. */
#define wait_for(s, cond)                                                                                              \
        do {                                                                                                           \
                unsigned turns_left = 20000;                                                                           \
                                                                                                                       \
                while (!(cond)) {                                                                                      \
                        http_scene_turn(s);                                                                            \
                        if (turns_left-- == 0)                                                                         \
                                fail_msg("never came: %s", #cond);                                                     \
                }                                                                                                      \
        } while (0)

#endif
