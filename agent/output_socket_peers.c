/* agent/output_socket_peers.c: how many connections the socket bears, in all and of each user. */
#include "agent/output_socket.h"

#include "agent/policy.h"
#include "common/http_server.h"
#include "common/mem.h"
#include "common/unixsock.h"

#define CONNS_MAX      256
#define CONNS_KEPT     16 /* for root, the agent's user and operators */
#define CONNS_PER_USER 64

struct user_conns {
        uid_t uid;
        unsigned count;
};

struct socket_peers {
        struct user_conns **users; /* with a connection open, but for those who are not counted */
        size_t len;
        unsigned conns;
};

/**
 * socket_peers_new() - nobody is connected
 *
 * Return: new; socket_peers_free() it.
 */
struct socket_peers *socket_peers_new(void)
{
        return mem_new(sizeof(struct socket_peers));
}

/**
 * socket_peers_free() - frees the counts, after the last connection
 * @p: takes NULL
 *
 * Return: NULL.
 */
struct socket_peers *socket_peers_free(struct socket_peers *p)
{
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->len; i++)
                mem_free(p->users[i]);
        mem_free(p->users);
        return mem_free(p);
}

static struct user_conns *find_user(struct socket_peers *p, uid_t uid)
{
        struct user_conns *u;

        for (size_t i = 0; i < p->len; i++) {
                if (p->users[i]->uid == uid)
                        return p->users[i];
        }
        u = mem_new(sizeof(*u));
        u->uid = uid;
        p->users = mem_resize(p->users, p->len + 1, sizeof(struct user_conns *));
        p->users[p->len++] = u;
        return u;
}

/**
 * socket_peers_admit() - may this connection stay?
 * @p:      the counts
 * @conn:   its data is set here
 * @config: who the operators are
 *
 * Return: 0, or 503: too many.
 */
int socket_peers_admit(struct socket_peers *p, struct http_conn *conn, const struct config *config)
{
        const struct peer *peer = http_conn_peer(conn);
        struct user_conns *u;

        if (p->conns >= CONNS_MAX)
                return 503;
        if (policy_is_operator(config, peer)) {
                http_conn_set_data(conn, NULL);
                p->conns++;
                return 0;
        }
        if (p->conns >= CONNS_MAX - CONNS_KEPT)
                return 503;
        u = find_user(p, peer->uid);
        if (u->count >= CONNS_PER_USER)
                return 503;
        u->count++;
        p->conns++;
        http_conn_set_data(conn, u);
        return 0;
}

/**
 * socket_peers_leave() - a connection that was admitted is about to go
 * @p:    the counts
 * @conn: the connection
 */
void socket_peers_leave(struct socket_peers *p, struct http_conn *conn)
{
        struct user_conns *u = http_conn_data(conn);

        p->conns--;
        if (!u || --u->count > 0)
                return;
        for (size_t i = 0; i < p->len; i++) {
                if (p->users[i] == u) {
                        p->users[i] = p->users[--p->len];
                        break;
                }
        }
        mem_free(u);
}
