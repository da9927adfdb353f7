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
 */
static bool unit_matches(const struct peer *p, const char *unit)
{
        cleanup_free char *found = NULL, *of_user = NULL;

        if (p->pid <= 0 || sd_pid_get_unit(p->pid, &found) < 0)
                return false;
        if (sd_pid_get_user_unit(p->pid, &of_user) >= 0)
                return false;
        if (p->pidfd >= 0 && !is_alive(p->pidfd))
                return false;
        return strcmp(found, unit) == 0;
}

static bool allow_matches(const struct config_allow *a, const struct peer *p)
{
        if (!a->has_uid && !a->has_gid && !a->unit)
                return false;
        if (a->has_uid && a->uid != p->uid)
                return false;
        if (a->has_gid && !peer_in_group(p, a->gid))
                return false;
        return !a->unit || unit_matches(p, a->unit);
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
        for (size_t i = 0; i < s->allow_len; i++) {
                if (allow_matches(&s->allow[i], p))
                        return true;
        }
        return false;
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
