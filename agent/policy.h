/* agent/policy.h: which peer may read which secret: deny by default, the kernel's word alone. Pure but for unit look-ups. */
#ifndef AGENT_POLICY_H
#define AGENT_POLICY_H

#include <stdbool.h>

struct config;
struct config_secret;
struct peer;

bool policy_may_read(const struct config_secret *s,
                     const struct peer *p); /* any allow block of which all that is set holds */

/* The same for many secrets and one peer, whose unit is then looked up once. All zero but for peer; policy_view_done() it. */
struct policy_view {
        const struct peer *peer;
        bool looked_up;
        char *unit; /* NULL: none */
};
bool policy_view_may_read(struct policy_view *v, const struct config_secret *s);
void policy_view_done(struct policy_view *v);

bool policy_is_operator(const struct config *c,
                        const struct peer *p); /* root, the agent's own uid, the operators' group */

#endif
