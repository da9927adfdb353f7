/* app/db_pair.c: logins, places and pairs of them: counted, freed with the last user, secrets wiped. */
#include "app/db_swap_state.h"

#include "common/mem.h"
#include "common/secret.h"

/**
 * db_login_unref() - one user less
 * @l: NULL is fine; wiped and freed with the last one
 */
void db_login_unref(struct db_login_ref *l)
{
        if (!l || --l->refs > 0)
                return;
        secret_free(l->login.username);
        secret_free(l->login.password);
        mem_free(l);
}

/**
 * db_place_unref() - one user less
 * @p: NULL is fine; freed with the last one
 */
void db_place_unref(struct db_place_ref *p)
{
        if (!p || --p->refs > 0)
                return;
        mem_free(p->place.host);
        mem_free(p->place.socket);
        mem_free(p->place.database);
        mem_free(p->place.ca_cert);
        mem_free(p);
}

/**
 * db_pair_new() - a generation that nobody has dialled yet
 * @login: gets one user more
 * @place: gets one user more
 *
 * Return: new, one user.
 */
struct db_pair *db_pair_new(struct db_login_ref *login, struct db_place_ref *place)
{
        struct db_pair *p = mem_new(sizeof(*p));

        p->refs = 1;
        p->login = login;
        login->refs++;
        p->place = place;
        place->refs++;
        p->backoff = (struct backoff){.base_usec = DB_RETRY_BASE_USEC, .cap_usec = DB_RETRY_CAP_USEC};
        return p;
}

/**
 * db_pair_ref() - one user more
 * @p: the pair
 *
 * Return: @p.
 */
struct db_pair *db_pair_ref(struct db_pair *p)
{
        p->refs++;
        return p;
}

/**
 * db_pair_unref() - one user less
 * @p: NULL is fine; freed with the last one
 */
void db_pair_unref(struct db_pair *p)
{
        if (!p || --p->refs > 0)
                return;
        db_login_unref(p->login);
        db_place_unref(p->place);
        mem_free(p);
}

/**
 * db_pair_same_server() - do two pairs lead to the same server
 * @a: one
 * @b: the other
 *
 * Return: true where they do, as far as can be told.
 */
bool db_pair_same_server(const struct db_pair *a, const struct db_pair *b)
{
        return a->place == b->place && a->host == b->host;
}
