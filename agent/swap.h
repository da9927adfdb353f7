/* agent/swap.h: may secrets in memory be written to swap? */
#ifndef AGENT_SWAP_H
#define AGENT_SWAP_H

#include <stdbool.h>

/* Is any swap in use? From /proc/swaps; false where it cannot be read. */
bool swap_is_on(void);
/* Does path lie where no swap reaches: ramfs, or tmpfs mounted noswap (Linux 6.4)? From /proc/self/mountinfo; false where unknown. */
bool swap_spares(const char *path);
/* new: what to say of swap that may reach path; NULL: nothing, none can */
char *swap_warning(const char *path);

#endif
