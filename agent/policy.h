/* agent/policy.h: which peer may read which secret: deny by default, the kernel's word alone. Pure but for unit look-ups. */
#ifndef AGENT_POLICY_H
#define AGENT_POLICY_H

#include <stdbool.h>

struct config;
struct config_secret;
struct peer;

bool policy_may_read(const struct config_secret *s, const struct peer *p); /* any allow block of which all that is set holds */
bool policy_is_operator(const struct config *c, const struct peer *p);     /* root, the agent's own uid, the operators' group */

#endif
