/* agent/policy.c: an allow block against what the kernel says of a peer. */
#include "agent/policy.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "agent/config.h"
#include "common/mem.h"
#include "common/unixsock.h"

/* A pid may have a new owner by now, a pidfd cannot: readable means that the process is gone. */
static bool is_alive(int pidfd)
{
        struct pollfd p = {.fd = pidfd, .events = POLLIN};

        return poll(&p, 1, 0) == 0;
}

/*
 * The peer's system unit. Across containers the kernel tells no pid, and then there is no unit. The process is asked for
 * after the look-up, so that the answer cannot be about a successor with the same pid.
 *
 * Return: new; NULL: none.
 */
static char *unit_of(const struct peer *p)
{
        cleanup_free char *found = NULL, *of_user = NULL;
        char *unit;

        if (p->pid <= 0 || sd_pid_get_unit(p->pid, &found) < 0)
                return NULL;
        if (sd_pid_get_user_unit(p->pid, &of_user) >= 0)
                return NULL;
        if (p->pidfd >= 0 && !is_alive(p->pidfd))
                return NULL;
        unit = found;
        found = NULL;
        return unit;
}

static bool unit_matches(struct policy_view *v, const char *unit)
{
        if (!v->looked_up) {
                v->unit = unit_of(v->peer);
                v->looked_up = true;
        }
        return v->unit && strcmp(v->unit, unit) == 0;
}

static bool allow_matches(struct policy_view *v, const struct config_allow *a)
{
        if (!a->has_uid && !a->has_gid && !a->unit)
                return false;
        if (a->has_uid && a->uid != v->peer->uid)
                return false;
        if (a->has_gid && !peer_in_group(v->peer, a->gid))
                return false;
        return !a->unit || unit_matches(v, a->unit);
}

/**
 * policy_view_may_read() - may this peer read that secret?
 * @v: the peer, and its unit once it was needed
 * @s: its allow blocks decide; without any nobody may
 *
 * Return: as policy_may_read().
 */
bool policy_view_may_read(struct policy_view *v, const struct config_secret *s)
{
        for (size_t i = 0; i < s->allow_len; i++) {
                if (allow_matches(v, &s->allow[i]))
                        return true;
        }
        return false;
}

/**
 * policy_view_done() - frees what was looked up
 * @v: may be used again for the same peer
 */
void policy_view_done(struct policy_view *v)
{
        v->unit = mem_free(v->unit);
        v->looked_up = false;
}

/**
 * policy_may_read() - may this peer read that secret?
 * @s: its allow blocks decide; without any nobody may
 * @p: the peer, by SO_PEERCRED and its like
 *
 * Return: true where all that is set in one of the blocks holds. Root needs a rule like anybody else.
 */
bool policy_may_read(const struct config_secret *s, const struct peer *p)
{
        struct policy_view v = {.peer = p};
        bool may = policy_view_may_read(&v, s);

        policy_view_done(&v);
        return may;
}

/**
 * policy_is_operator() - may this peer see the status and rotate?
 * @c: operators { group = ... }
 * @p: the peer
 *
 * Return: true for root, the agent's own user and the operators' group.
 */
bool policy_is_operator(const struct config *c, const struct peer *p)
{
        return p->uid == 0 || p->uid == geteuid() || (c->has_operators_gid && peer_in_group(p, c->operators_gid));
}
