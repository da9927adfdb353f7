/* app/listeners.c: the addresses that are listened on, and when the first handshakes begin. */
#include "app/listeners.h"

#include <string.h>
#include <unistd.h>

#include "app/config.h"
#include "app/tls.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/parse.h"

#define BACKLOG         1024
#define FIRST_WAIT_USEC (2 * USEC_PER_SEC)

struct listeners {
        struct loop *loop;
        struct http_server *server;
        struct tls *tls;
        struct loop_timer *wait;
        int *waiting; /* https: bound, their clients in the kernel's queue */
        size_t waiting_len;
};

static void let_handshakes_begin(void *arg)
{
        struct listeners *l = arg;

        loop_timer_cancel(l->wait);
        for (size_t i = 0; i < l->waiting_len; i++)
                http_server_add_tls_listener(l->server, l->waiting[i], tls_wrap, l->tls);
        l->waiting_len = 0;
}

/**
 * listeners_new() - without an address yet
 * @loop:   borrowed, like all here, for the listeners' life
 * @server: gets each listener
 * @tls:    certificate of the https listeners
 *
 * Return: new; listeners_free() it.
 */
struct listeners *listeners_new(struct loop *loop, struct http_server *server, struct tls *tls)
{
        struct listeners *l = mem_new(sizeof(*l));

        l->loop = loop;
        l->server = server;
        l->tls = tls;
        l->wait = loop_timer_new(loop, let_handshakes_begin, l);
        return l;
}

/**
 * listeners_free() - close what the server has not got yet
 * @l: the listeners or NULL
 *
 * Return: NULL.
 */
struct listeners *listeners_free(struct listeners *l)
{
        if (!l)
                return NULL;
        for (size_t i = 0; i < l->waiting_len; i++)
                close(l->waiting[i]);
        loop_timer_free(l->wait);
        mem_free(l->waiting);
        return mem_free(l);
}

/**
 * listeners_open() - listen on all addresses, or on none that counts
 * @l:      the listeners
 * @config: its addresses, and how long a request waits for credentials
 *
 * A service of which half is reachable is worse than one that says what is wrong: the first that fails ends it, and is logged.
 *
 * Whoever connected while this program was being restarted is in the queue already, and the certificate comes a moment after the
 * start: that long, two seconds at most, the first handshakes wait for it. Later ones without a certificate are closed at once.
 *
 * Return: 0, -errno.
 */
int listeners_open(struct listeners *l, const struct app_config *config)
{
        uint64_t wait_usec = config->db_wait_usec < FIRST_WAIT_USEC ? config->db_wait_usec : FIRST_WAIT_USEC;

        l->waiting = mem_array(config->listens_len, sizeof(*l->waiting));
        for (size_t i = 0; i < config->listens_len; i++) {
                const struct app_listen *at = &config->listens[i];
                cleanup_free char *error = NULL;
                int fd, r;

                r = http_listen_tcp(at->address, BACKLOG, &fd, &error);
                if (r < 0) {
                        log_error("%s", error ? error : strerror(-r));
                        http_listen_warn_unused();
                        return r;
                }
                if (at->is_tls)
                        l->waiting[l->waiting_len++] = fd;
                else
                        http_server_add_listener(l->server, fd, false);
                log_info("listening on %s://%s", at->is_tls ? "https" : "http", at->address);
        }
        http_listen_warn_unused();
        if (l->waiting_len > 0)
                loop_timer_in(l->wait, wait_usec);
        return 0;
}

/**
 * listeners_look() - if there is a certificate now, no handshake waits any more
 * @l: the listeners
 */
void listeners_look(struct listeners *l)
{
        if (l->waiting_len > 0 && tls_has_certificate(l->tls))
                let_handshakes_begin(l);
}
