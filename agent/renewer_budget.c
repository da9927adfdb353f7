/* agent/renewer_budget.c: the mint budgets, one a path (rule 5). */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "agent/renewer_internal.h"
#include "common/clock.h"
#include "common/mem.h"

static int compare_budgets(const void *a, const void *b)
{
        const struct mint_budget *x = a, *y = b;

        return strcmp(x->path, y->path);
}

/**
 * mint_budget_get() - the budget of a path, made where it is the first secret of it
 * @r: the renewer
 * @path: copied
 * @burst: the secret's mint_burst; of several the largest counts
 *
 * Return: one more reference of it; mint_budget_put() it.
 */
struct mint_budget *mint_budget_get(struct renewer *r, const char *path, unsigned burst)
{
        struct mint_budget key = {.path = mem_strdup(path)}, **found = tfind(&key, &r->budgets, compare_budgets), *b;

        mem_free(key.path);
        if (found) {
                (*found)->refs++;
                (*found)->bucket.burst = burst > (*found)->bucket.burst ? burst : (*found)->bucket.burst;
                return *found;
        }
        b = mem_new(sizeof(*b));
        b->path = mem_strdup(path);
        b->refs = 1;
        bucket_init(&b->bucket, burst, clock_boottime_usec());
        if (!tsearch(b, &r->budgets, compare_budgets))
                abort();
        return b;
}

/**
 * mint_budget_put() - gives a reference back
 * @r: the renewer
 * @b: freed with the last one
 */
void mint_budget_put(struct renewer *r, struct mint_budget *b)
{
        if (--b->refs > 0)
                return;
        tdelete(b, &r->budgets, compare_budgets);
        mem_free(b->path);
        mem_free(b);
}
